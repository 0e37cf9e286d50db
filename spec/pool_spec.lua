-- pool_spec.lua
-- Pools: each job ends exactly once, whatever becomes of it, of its worker and of the pool.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local Pool, Channel = Isolate.Pool, Isolate.Channel
local RemoteError, CancelledError = Isolate.RemoteError, Isolate.CancelledError
local TimeoutError = Isolate.TimeoutError

local GUARD = 20 * helper.slow       -- seconds; only a fault ever waits this long

-- The error that a Future fails with.
local function failure(future)
  local ok, why = pcall(future.await, future, GUARD)
  assert.is_false(ok, "an error was expected")
  return why
end

local function message(future) return failure(future).message end

-- The text that fn raises, without its place, which is to be in this file.
local function complaint(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return (why:gsub("^spec/pool_spec.lua:%d+: ", "<here> "))
end

-- How many isolates live whose name begins so.
local function living(name)
  local n = 0
  for _, it in ipairs(Isolate.list()) do
    if it.name:sub(1, #name) == name then n = n + 1 end
  end
  return n
end

local function eventually_none(name)
  return helper.eventually(function() return living(name) == 0 end, 5,
    function() Isolate.sleep(0.002) end)
end

-- A job that says that it runs, and waits until it may end.
local function gated()
  local started, gate = Channel(), Channel()
  return function(...)
    started:send(true)
    gate:receive()
    return ...
  end, started, gate
end

describe("Pool", function()
  describe("run", function()
    it("brings all results back, nil and false among them", function()
      local pool <close> = Pool { size = 2 }
      assert.same({ n = 0 }, table.pack(pool:run(function() end):await()))
      assert.same({ nil, false, nil, n = 3 },
        table.pack(pool:run(function(...) return ... end, nil, false, nil):await()))
    end)

    it("sends function and arguments as one message", function()
      local pool <close> = Pool { size = 1 }
      local shared = {}
      assert.is_true(pool:run(function(a, b) return a == b and a == shared end,
        shared, shared):await())
    end)

    it("takes what can be called", function()
      local pool <close> = Pool { size = 1 }
      assert.equal(4, pool:run(setmetatable({}, { __call = function(_, a) return a + 1 end }), 3)
        :await())
      assert.equal(3, pool:run(math.floor, 3.5):await())
    end)

    it("awaits a Future that is returned", function()
      local pool <close> = Pool { size = 1 }
      local function later(ok)
        return Isolate.Future.delayed(0.001, function()
          return ok and "later" or error("too bad", 0)
        end)
      end
      assert.equal("later", pool:run(later, true):await())
      assert.equal("too bad", message(pool:run(later, false)))
    end)

    it("lets a job wait, receive and spawn", function()
      local pool <close> = Pool { size = 1 }
      assert.equal(42, pool:run(function()
        local port <close> = Isolate.ReceivePort()
        Isolate.spawn(function(to) to:send(42) end, port.send_port)
        return port:receive()
      end):await())
    end)

    -- The first time it goes whole, then in a parcel.
    it("calls the same function again and again, with and without upvalues", function()
      local pool <close> = Pool { size = 2 }
      local n = 0
      local function plain(i) return i * 2 end
      local function counting() n = n + 1 return n end
      for i = 1, 10 do
        assert.equal(2 * i, pool:run(plain, i):await())
        n = i
        assert.equal(i + 1, pool:run(counting):await())
      end
    end)

    it("builds a function without upvalues once in a worker", function()
      local pool <close> = Pool { size = 1 }
      local function identity() return tostring(debug.getinfo(1, "f").func) end
      pool:run(identity):await()
      local first = pool:run(identity):await()
      for _ = 1, 5 do assert.equal(first, pool:run(identity):await()) end
    end)

    it("raises for what cannot be sent, and nothing is queued", function()
      local pool <close> = Pool { size = 1 }
      assert.equal("<here> cannot send argument[2]: an open file stays in its isolate",
        complaint(function() pool:run(print, 1, io.stdout) end))
      assert.equal("<here> cannot send fn.upvalue 'pool': a Pool stays in its isolate",
        complaint(function() pool:run(function() return pool end) end))
      local f = load "return the_global"  -- its second time is in a parcel
      pool:run(f):await()
      _G.the_global = coroutine.create(print)
      assert.equal("<here> cannot send fn.global 'the_global': a coroutine stays in its isolate",
        complaint(function() pool:run(f) end))
      _G.the_global = nil
      local stats = pool:stats()
      assert.same({ 0, 0, 1 }, { stats.queued, stats.running, stats.done })
    end)

    it("names what is wrong with its arguments, and where", function()
      local pool <close> = Pool()
      assert.equal("<here> bad argument #1 to 'run' (function expected, got nil)"
        .. "; give the function itself, not what it returns", complaint(function() pool:run() end))
      assert.equal("<here> calling 'run' on bad self (Pool expected, got function)",
        complaint(function() pool.run(print) end))
      assert.equal("<here> calling 'stats' on bad self (Pool expected, got nil)",
        complaint(function() pool.stats() end))
      assert.equal("<here> calling 'close' on bad self (Pool expected, got nil)",
        complaint(function() pool.close() end))
      assert.equal("<here> bad argument #1 to 'close' (unknown option 'dorp')",
        complaint(function() pool:close { dorp = true } end))
      assert.equal("<here> bad argument #1 to 'with' (option 'priority': integer of 32 bits "
        .. "expected, got 0.5)", complaint(function() pool:with { priority = 0.5 } end))
      assert.equal("<here> bad argument #1 to 'with' (option 'timeout': positive number of seconds "
        .. "expected, got 0)", complaint(function() pool:with { timeout = 0 } end))
      assert.equal("<here> bad argument #1 to 'with' (unknown option 'prio')",
        complaint(function() pool:with { prio = 0 } end))
      assert.equal("<here> calling 'run' on bad self (Pool with options expected, got Pool)",
        complaint(function() pool:with {}.run(pool) end))
    end)
  end)

  it("names what is wrong with its options, and where", function()
    for wrong, text in pairs {
      [{ size = 0 }] = "option 'size': integer of 1 or more expected, got 0",
      [{ size = 1.5 }] = "option 'size': integer of 1 or more expected, got 1.5",
      [{ size = "2" }] = "option 'size': integer of 1 or more expected, got string",
      [{ sizes = 2 }] = "unknown option 'sizes'",
      [{ name = 1 }] = "option 'name': string expected, got number",
      [{ init = true }] = "option 'init': function expected, got boolean",
      [{ queue = 0 }] = "option 'queue': integer of 1 or more expected, got 0",
      [{ recycle_after = 0 }] = "option 'recycle_after': integer of 1 or more expected, got 0",
      [{ memory_limit = -1 }] = "option 'memory_limit': positive number of bytes expected, got -1",
      [{ grace = -1 }] = "option 'grace': number of seconds expected, got -1",
      [{ true }] = "unknown option '1'",
    } do
      assert.equal("<here> bad argument #1 to 'Pool' (" .. text .. ")",
        complaint(function() Pool(wrong) end))
    end
    assert.equal("<here> bad argument #1 to 'Pool' (table expected, got number)",
      complaint(function() Pool(4) end))
    assert.equal("<here> cannot send fn.upvalue 'file': an open file stays in its isolate",
      complaint(function()
        local file = io.stdout
        Pool { init = function() return file end }
      end))
  end)

  it("goes on while the isolate that made it computes", function()
    local pool <close> = Pool { size = 1 }
    local done = Channel()
    local last
    for i = 1, 50 do last = pool:run(function() done:send(i) end) end
    local deadline = helper.now() + GUARD
    local n = 0
    repeat
      if select(2, done:receive(0)) == nil then n = n + 1 end  -- no turn of the loop
    until n == 50 or helper.now() > deadline
    assert.equal(50, n)
    assert.is_false(last:is_done())
    last:await()
  end)

  describe("failures", function()
    it("are RemoteErrors, with traceback, worker and value", function()
      local pool <close> = Pool { size = 1, name = "errors" }
      local e = failure(pool:run(function() error { code = 7 } end))
      assert.equal(RemoteError, getmetatable(e))
      assert.equal(7, e.value.code)
      assert.equal("errors 1", e.isolate)
      assert.match("pool_spec.lua:", e.traceback)
      assert.equal("plain", message(pool:run(function() error("plain", 0) end)))
      assert.equal("nil", message(pool:run(error)))
      e = failure(pool:run(function()
        error(setmetatable({ io.stdout }, { __tostring = function() return "unsendable" end }))
      end))
      assert.equal("unsendable", e.message)
      assert.is_nil(e.value)
      assert.equal("(error object is a table value)", message(pool:run(function()
        error(setmetatable({}, { __tostring = error }))
      end)))
    end)

    it("of one job are not seen by the next", function()
      local pool <close> = Pool { size = 1, memory_limit = 20e6, name = "clean" }
      assert.match("stack traceback", failure(pool:run(error, "x")).traceback)
      local e = failure(pool:run(function()
        local t = {}
        for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end
        return t
      end))
      assert.equal("not enough memory", e.message)
      assert.equal("", e.traceback)  -- not that of the job before
      assert.equal("clean 2", pool:run(function() return Isolate.current.name end):await())
    end)

    it("of results that cannot be sent name them", function()
      local pool <close> = Pool { size = 1 }
      assert.equal("cannot send result[2].file: an open file stays in its isolate",
        message(pool:run(function() return 1, { file = io.stdout } end)))
      assert.equal("still there", pool:run(function() return "still there" end):await())
    end)

    it("of results that cannot be rebuilt here, and of arguments there", function()
      local pool <close> = Pool { size = 1 }
      local function hostile()
        return setmetatable({}, { __transfer = function()
          return function() error("not here", 0) end
        end })
      end
      assert.equal("the answer could not be received: not here", message(pool:run(hostile)))
      assert.equal("the job could not be received: not here", message(pool:run(print, hostile())))
      assert.equal(1, pool:run(function() return 1 end):await())
    end)

    it("of modules that are not there", function()
      local pool <close> = Pool { size = 1 }
      local f = load "return require 'no.such.module'"
      for _ = 1, 3 do assert.match("no.such.module", message(pool:run(f))) end
    end)

    it("nobody asked for go to stderr", function()
      local got = helper.lua([[
        local Isolate = require "isolate"
        local pool <close> = Isolate.Pool { size = 1 }
        pool:run(error, "unheard of", 0)
        pool:run(print, "end"):await()
      ]])
      assert.equal("end\n", got.stdout)
      assert.match("nobody asked for it: unheard of", got.stderr)
    end)
  end)

  describe("a dead worker", function()
    local ways = {
      ["os.exit"] = function() os.exit(3) end,
      ["Isolate.exit"] = function() Isolate.exit() end,
      ["a kill of its own"] = function()
        Isolate.current:kill(Isolate.immediate)
        while true do end
      end,
    }
    for name, fn in pairs(ways) do
      it("by " .. name .. " fails its own job alone, and is replaced #signal", function()
        local pool <close> = Pool { size = 1, name = "dies" }
        local dead, next_one = pool:run(fn), pool:run(function() return Isolate.current.name end)
        local e = failure(dead)
        assert.equal(RemoteError, getmetatable(e))
        assert.equal("the worker ended before the job was done", e.message)
        assert.equal("dies 1", e.isolate)
        assert.equal("dies 2", next_one:await(GUARD))
      end)
    end

    it("by an uncaught error of a job's timer says so", function()
      local pool <close> = Pool { size = 1 }
      local e = failure(pool:run(function()
        Isolate.Timer(0.001, function() error "in a timer" end)
        Isolate.sleep(60)
      end))
      assert.match("in a timer", e.message)
      assert.match("stack traceback", e.traceback)
    end)

    -- The collector, which finds what nobody asked for, once came in the middle of the later job, and ended it.
    it("by what a job left behind takes no later job with it", function()
      local pool <close> = Pool { size = 1 }
      local loop = require "isolate.loop"
      local unheard = loop.unheard
      loop.unheard = function() end  -- the tasks' errors are told, if the worker was idle
      finally(function() loop.unheard = unheard end)
      for i = 1, 5 do
        assert.equal(i, pool:run(function()
          Isolate.ReceivePort()
          Isolate.Timer.periodic(0.001, function() end)
          Isolate.async(function() Isolate.sleep(0) error "left behind" end)
          return i
        end):await(GUARD))
        assert.equal("well", pool:run(function() collectgarbage() return "well" end):await(GUARD))
      end
    end)

    it("by memory fails its job, and is replaced", function()
      local pool <close> = Pool { size = 2, memory_limit = 30e6 }
      local function eat() local s = "x" while true do s = s .. s end end
      local jobs = {}
      for i = 1, 6 do
        jobs[i] = i % 3 == 0 and pool:run(eat) or pool:run(function() return i end)
      end
      for i = 1, 6 do
        if i % 3 == 0 then
          assert.match("not enough memory", message(jobs[i]))
        else
          assert.equal(i, jobs[i]:await(GUARD))
        end
      end
    end)

    it("by what a job left behind, when it is idle, is told on stderr", function()
      local got = helper.lua([[
        local Isolate = require "isolate"
        local pool <close> = Isolate.Pool { size = 1, name = "late" }
        local me = pool:run(function()
          Isolate.Timer(0.01, function() error("too late", 0) end)
          return Isolate.current
        end):await()
        me:join()
        Isolate.sleep(0.01)
        print(pool:run(function() return Isolate.current.name end):await())
      ]])
      assert.equal("late 2\n", got.stdout)
      assert.equal(1, select(2, got.stderr:gsub("too late", "")))
    end)

    it("that was idle is not missed", function()
      local pool <close> = Pool { size = 1, name = "idle" }
      local me = pool:run(function() return Isolate.current end):await()
      me:kill(Isolate.immediate)
      me:join()
      assert.equal("idle 2", pool:run(function() return Isolate.current.name end):await(GUARD))
    end)
  end)

  describe("init", function()
    it("runs once in each worker, before the first job, and may wait", function()
      local calls = Channel()
      local pool <close> = Pool { size = 2, init = function()
        Isolate.sleep(0.001)
        _G.made = { n = 0 }
        calls:send(Isolate.current.name)
      end }
      local jobs = {}
      for i = 1, 20 do
        jobs[i] = pool:run(function() _G.made.n = _G.made.n + 1 return _G.made.n > 0 end)
      end
      assert.same(Isolate.Future.all(jobs):await(), { n = 20, table.unpack(
        { true, true, true, true, true, true, true, true, true, true,
          true, true, true, true, true, true, true, true, true, true }) })
      pool:close()
      local names = {}
      while true do
        local name, why = calls:receive(0)
        if why then break end
        assert.is_nil(names[name])
        names[name] = true
      end
      assert.is_not_nil(next(names))
    end)

    -- Only an error was a failure of init: one that ended its isolate was started again
    -- at once, for ever.
    local hostile = {
      ["raises"] = { function() error("no licence", 0) end, "no licence" },
      ["raises an object"] = { function()
        error(setmetatable({}, { __tostring = function() return "an object" end }))
      end, "an object" },
      ["returns a Future that fails"] = { function()
        return Isolate.Future.error "a Future"
      end, "a Future" },
      ["calls os.exit"] = { function() os.exit() end, "the worker ended" },
      ["kills its isolate"] = { function()
        Isolate.current:kill(Isolate.immediate)
        while true do end
      end, "the worker ended" },
      ["eats its memory"] = { function()
        local s = "x" while true do s = s .. s end
      end, "not enough memory" },
    }
    for what, case in pairs(hostile) do
      it("that " .. what .. " fails all jobs in the end, and those that follow #signal", function()
        local tries = Channel()
        local init = case[1]
        local pool <close> = Pool { size = 2, memory_limit = 20e6, init = function()
          tries:send(true)
          return init()
        end }
        local a, b, c = pool:run(print), pool:run(print), pool:run(print)
        for _, job in ipairs { a, b, c } do
          local e = failure(job)
          assert.equal(RemoteError, getmetatable(e))
          assert.equal("the pool's init failed: " .. case[2], e.message)
        end
        assert.equal("the pool's init failed: " .. case[2], message(pool:run(print)))
        local n = 0
        while select(2, tries:receive(0)) == nil do n = n + 1 end
        assert.is_true(n >= 5 and n <= 7, n .. " tries")
        local stats = pool:stats()
        assert.same({ 0, 0, 0, 4 }, { stats.queued, stats.running, stats.done, stats.failed })
      end)
    end

    it("that fails at first is tried again", function()
      local tries = Channel()
      tries:send(1) tries:send(2) tries:send(3)
      local pool <close> = Pool { size = 1, init = function()
        if not select(2, tries:receive(0)) then error "not yet" end
      end }
      assert.equal("at last", pool:run(function() return "at last" end):await(GUARD))
    end)

    it("that never returns does not keep a pool that drops its jobs #signal", function()
      local pool = Pool { size = 1, init = function() while true do end end, name = "never" }
      local job = pool:run(print)
      Isolate.sleep(0.02)
      pool:close { drop = true }
      assert.equal(CancelledError, getmetatable(failure(job)))
      assert.is_true(eventually_none "never")
    end)
  end)

  describe("a bounded queue", function()
    it("makes run wait, in tasks and in a main chunk", function()
      local pool <close> = Pool { size = 1, queue = 2 }
      local job, started, gate = gated()
      local done, sent, tasks = {}, 0, {}
      for t = 1, 3 do
        tasks[t] = Isolate.async(function()
          for i = 1, 4 do
            local result = pool:run(job, t * 10 + i)
            sent = sent + 1
            result:next(function(v) done[#done + 1] = v end)
          end
        end)
      end
      started:receive()
      Isolate.sleep(0.02)
      assert.equal(3, sent)  -- one runs, two wait
      assert.equal(2, pool:stats().queued)
      for _ = 1, 13 do gate:send(true) end
      assert.equal("main", pool:run(job, "main"):await(GUARD))
      Isolate.Future.all(tasks):await(GUARD)
      pool:close()
      Isolate.sleep(0)
      table.sort(done)
      assert.same({ 11, 12, 13, 14, 21, 22, 23, 24, 31, 32, 33, 34 }, done)
    end)

    -- A job that found the queue closed when its turn came was never sent, and never ended.
    it("that is closed in the meantime raises where run waits", function()
      local pool = Pool { size = 1, queue = 1 }
      local job, started, gate = gated()
      local first = pool:run(job, 1)
      started:receive()
      local second = pool:run(job, 2)
      local third = Isolate.async(function() return pool:run(job, 3) end)
      Isolate.sleep(0)
      Isolate.async(function() gate:send(1) gate:send(2) end)
      pool:close()
      assert.same({ 1, 2 }, { first:await(), second:await() })
      assert.match("this pool is closed", failure(third))
      assert.equal(2, pool:stats().done)
    end)

    it("of a pool whose init fails lets those who wait go on", function()
      local pool <close> = Pool { size = 1, queue = 1, init = error }
      local tasks = {}
      for i = 1, 4 do tasks[i] = Isolate.async(function() return pool:run(print) end) end
      for i = 1, 4 do assert.match("init failed", message(tasks[i])) end
      assert.equal(0, pool:stats().queued)
    end)
  end)

  describe("with", function()
    it("a higher priority goes first, equal ones as they came", function()
      local pool <close> = Pool { size = 1 }
      local job, started, gate = gated()
      local first = pool:run(job)
      started:receive()
      local log, jobs = Channel(), {}
      for i, priority in ipairs { 0, -1, 5, 0, 5, 2147483647, -2147483647, 1 } do
        jobs[i] = pool:with { priority = priority }:run(function() log:send(i) end)
      end
      gate:send(true)
      first:await()
      Isolate.Future.all(jobs):await()
      local order = {}
      for i = 1, 8 do order[i] = log:receive() end
      assert.same({ 6, 3, 5, 8, 1, 4, 2, 7 }, order)
    end)

    it("any priorities go in their order, whatever is cancelled", function()
      local pool <close> = Pool { size = 1 }
      local job, started, gate = gated()
      local first = pool:run(job)
      started:receive()
      local log, jobs, n = Channel(), {}, 300
      for i = 1, n do
        local priority = i * 7919 % 11 - 5
        jobs[i] = { i = i, priority = priority,
          result = pool:with { priority = priority }:run(function() log:send(i) end) }
      end
      for i = n, 1, -3 do table.remove(jobs, i).result:cancel() end
      table.sort(jobs, function(a, b)
        if a.priority ~= b.priority then return a.priority > b.priority end
        return a.i < b.i
      end)
      gate:send(true)
      first:await()
      pool:close()
      for _, it in ipairs(jobs) do assert.equal(it.i, (log:receive(0))) end
      assert.equal("timeout", select(2, log:receive(0)))
    end)

    -- Each passed all that were before it: 40,000 took six seconds.
    it("many jobs pass one of a lower priority", function()
      local pool = Pool { size = 1 }
      local job, started, gate = gated()
      local first = pool:run(job)
      started:receive()
      local low = pool:with { priority = -1 }:run(job)
      for _ = 1, 40000 // helper.slow do pool:run(job) end
      gate:send(true)
      first:await()
      started:receive()
      assert.is_false(low:is_done())
      gate:close()
      pool:close { drop = true }
      assert.equal(Isolate.CancelledError, getmetatable(failure(low)))
    end)

    it("a timeout stops a job that runs too long, and no other #signal", function()
      local pool <close> = Pool { size = 1 }
      local slow = pool:with { timeout = 0.05 }:run(function() while true do end end)
      local other = pool:with { timeout = 30 }:run(function() return "other" end)
      local e = failure(slow)
      assert.equal(TimeoutError, getmetatable(e))
      assert.equal("the job was not done after 0.05 seconds", e.message)
      assert.equal("other", other:await(GUARD))
    end)

    it("a timeout counts from when the job begins", function()
      local pool <close> = Pool { size = 1 }
      local job, started, gate = gated()
      local first = pool:run(job)
      started:receive()
      local waits = pool:with { timeout = 0.03 * helper.slow }:run(function() return "in time" end)
      Isolate.sleep(0.1 * helper.slow)
      gate:send(true)
      first:await()
      assert.equal("in time", waits:await(GUARD))
    end)

    it("a timeout of for ever is one", function()
      local pool <close> = Pool { size = 1 }
      assert.equal(1, pool:with { timeout = math.huge }:run(function() return 1 end):await())
    end)
  end)

  describe("cancel", function()
    it("takes a queued job out: it never begins", function()
      local pool <close> = Pool { size = 1 }
      local job, started, gate = gated()
      local ran = Channel()
      local first = pool:run(job, "first")
      started:receive()
      local queued = pool:run(function() ran:send(true) end)
      local last = pool:run(function() return "last" end)
      queued:cancel()
      assert.equal(CancelledError, getmetatable(failure(queued)))
      assert.equal(1, pool:stats().queued)
      gate:send(true)
      assert.same({ "first", "last" }, { first:await(), last:await() })
      assert.equal("timeout", select(2, ran:receive(0)))
      assert.same({ 2, 0, 1 }, { pool:stats().done, pool:stats().failed, pool:stats().cancelled })
    end)

    it("kills the worker of a running one, which is replaced #signal", function()
      local pool <close> = Pool { size = 1, name = "cancel" }
      local started = Channel()
      local running = pool:run(function() started:send(1) while true do end end)
      started:receive()
      running:cancel()
      running:cancel()
      assert.equal(CancelledError, getmetatable(failure(running)))
      assert.equal("cancel 2", pool:run(function() return Isolate.current.name end):await(GUARD))
      assert.same({ 1, 0, 1 }, { pool:stats().done, pool:stats().failed, pool:stats().cancelled })
    end)

    -- A worker in a call of C that goes on was waited for: nothing ran meanwhile.
    it("does not wait for a call of C that cannot be interrupted", function()
      local pool = Pool { size = 1, name = "stuck" }
      local started = Channel()
      local stuck = pool:run(function()
        started:send(1)
        os.execute "sleep 1"
      end)
      started:receive()
      Isolate.sleep(0.01)
      stuck:cancel()
      assert.equal("stuck 2", pool:run(function() return Isolate.current.name end):await(GUARD))
      pool:close()
      assert.is_true(living "stuck" <= 1)  -- the one that sleeps
    end)

    it("asks a running job when it is gentle, and has its results", function()
      local pool <close> = Pool { size = 1, name = "gentle" }
      local started = Channel()
      local running = pool:run(function()
        started:send(Isolate.cancelled())
        repeat Isolate.sleep(0.001) until Isolate.cancelled()
        return "as far as I came"
      end)
      assert.is_false(started:receive())
      running:cancel { gentle = true }
      assert.equal("as far as I came", running:await(GUARD))
      -- the wish was for that job alone
      assert.same({ false, "gentle 1" },
        { pool:run(function() return Isolate.cancelled(), Isolate.current.name end):await() })
    end)

    it("is hard after a gentle one that was not heard #signal", function()
      local pool <close> = Pool { size = 1 }
      local started = Channel()
      local deaf = pool:run(function() started:send(1) while true do end end)
      started:receive()
      deaf:cancel { gentle = true }
      assert.is_false(deaf:is_done())
      deaf:cancel()
      assert.equal(CancelledError, getmetatable(failure(deaf)))
      assert.equal(1, pool:run(function() return 1 end):await(GUARD))
    end)

    it("takes a queued job out when it is gentle, too", function()
      local pool <close> = Pool { size = 1 }
      local job, started, gate = gated()
      local first = pool:run(job)
      started:receive()
      local queued = pool:run(print)
      queued:cancel { gentle = true }
      assert.equal(CancelledError, getmetatable(failure(queued)))
      gate:send(1)
      first:await()
    end)

    it("of many is over soon", function()
      local pool <close> = Pool { size = 1 }
      local job, started, gate = gated()
      local first = pool:run(job)
      started:receive()
      local jobs, n = {}, 20000 // helper.slow
      for i = 1, n do jobs[i] = pool:run(job, i) end
      for i = 1, n do jobs[i]:cancel() end
      assert.same({ 0, n }, { pool:stats().queued, pool:stats().cancelled })
      gate:send(1)
      first:await()
    end)

    it("is false of Isolate.cancelled outside of jobs", function()
      assert.is_false(Isolate.cancelled())
    end)
  end)

  it("replaces workers after so many jobs", function()
    local pool <close> = Pool { size = 1, recycle_after = 3, name = "fresh" }
    local names, jobs = {}, {}
    for i = 1, 7 do jobs[i] = pool:run(function() return Isolate.current.name end) end
    for i = 1, 7 do names[i] = jobs[i]:await(GUARD) end
    assert.same({ "fresh 1", "fresh 1", "fresh 1", "fresh 2", "fresh 2", "fresh 2", "fresh 3" },
      names)
  end)

  it("starts no more workers than there is work for", function()
    local pool <close> = Pool { size = 8, name = "few" }
    for _ = 1, 5 do pool:run(function() end):cancel() end
    for _ = 1, 5 do pool:run(function() end):await() end
    assert.is_true(living "few" <= 2)
  end)

  it("tells how it goes", function()
    local pool <close> = Pool { size = 2, name = "stats" }
    assert.same({ size = 2, workers = {}, queued = 0, running = 0, done = 0, failed = 0,
      cancelled = 0, waiting_time = {}, running_time = {} }, pool:stats())
    local job, started, gate = gated()
    local jobs = { pool:run(job), pool:run(job), pool:run(job) }
    started:receive()
    started:receive()
    local stats = pool:stats()
    assert.same({ 1, 2, 2 }, { stats.queued, stats.running, #stats.workers })
    for i, it in ipairs(stats.workers) do
      assert.equal("stats " .. i, it.name)
      assert.is_true(it.busy)
      assert.is_true(it.memory > 0)
    end
    for _ = 1, 3 do gate:send(1) end
    Isolate.Future.all(jobs):await()
    failure(pool:run(error))
    stats = pool:stats()
    assert.same({ 0, 0, 3, 1 }, { stats.queued, stats.running, stats.done, stats.failed })
    for _, times in ipairs { stats.waiting_time, stats.running_time } do
      assert.is_true(times.p50 <= times.p90 and times.p90 <= times.p99 and times.p99 <= times.max)
    end
  end)

  describe("close", function()
    it("finishes what is queued, and ends the workers", function()
      local pool = Pool { size = 2, name = "closes" }
      local jobs = {}
      for i = 1, 20 do jobs[i] = pool:run(function() return i end) end
      pool:close()
      for i = 1, 20 do
        assert.is_true(jobs[i]:is_done())
        assert.equal(i, jobs[i]:await())
      end
      assert.equal(0, living "closes")
    end)

    it("drops what has not begun", function()
      local pool = Pool { size = 1 }
      local job, started, gate = gated()
      local first, second = pool:run(job, "runs"), pool:run(job)
      started:receive()
      local closing = Isolate.async(function() pool:close { drop = true } end)
      assert.equal(CancelledError, getmetatable(failure(second)))
      assert.is_false(closing:is_done())
      gate:send(1)
      closing:await(GUARD)
      assert.equal("runs", first:await())
      assert.equal(1, pool:stats().cancelled)
    end)

    it("may come twice, from several sides, and more strictly the second time", function()
      local pool = Pool { size = 1 }
      local job, started, gate = gated()
      local first, second = pool:run(job, 1), pool:run(job, 2)
      started:receive()
      local closing = Isolate.async(function() pool:close() end)
      local again = Isolate.async(function() pool:close { drop = true } end)
      assert.equal(CancelledError, getmetatable(failure(second)))
      gate:send(1)
      closing:await(GUARD)
      again:await(GUARD)
      pool:close()
      pool:close { drop = true }
      assert.equal(1, first:await())
    end)

    it("may come from a job's callback, and from its progress", function()
      local pool = Pool { size = 1 }
      local closed = pool:run(function() return 1 end):next(function()
        pool:close()
        return "closed"
      end)
      assert.equal("closed", closed:await(GUARD))
      pool = Pool { size = 1 }
      local done = Isolate.Completer()
      local job = pool:with { on_progress = function() pool:close() done:complete() end }
        :run(function() Isolate.progress(1, 1) return 2 end)
      assert.equal(2, job:await(GUARD))
      done.future:await(GUARD)
    end)

    it("of a pool that never had a job, or is idle, is done at once", function()
      Pool { size = 3 }:close()
      local pool = Pool { size = 2, name = "idlers" }
      pool:run(function() end):cancel()
      pool:run(function() end):await()
      pool:close()
      assert.is_true(eventually_none "idlers")
    end)

    it("makes every use an error that says so", function()
      local pool = Pool()
      local with = pool:with {}
      pool:close()
      for name, use in pairs {
        run = function(p) p:run(print) end,
        map = function(p) p:map(print, {}) end,
        imap = function(p) p:imap(print, print) end,
      } do
        assert.equal("<here> this pool is closed", complaint(use, pool), name)
        assert.equal("<here> this pool is closed", complaint(use, with), name)
      end
      assert.equal("<here> this pool is closed", complaint(function() pool:with {} end))
      assert.equal(0, pool:stats().done)
    end)

    it("at the end of a block waits", function()
      local result
      do
        local pool <close> = Pool { size = 1 }
        pool:run(function() Isolate.sleep(0.01) return "done" end):next(function(v) result = v end)
      end
      Isolate.sleep(0)
      assert.equal("done", result)
    end)

    it("after an error waits for nothing: what runs is cancelled #signal", function()
      local running, queued
      local ok, why = pcall(function()
        local pool <close> = Pool { size = 1, name = "error" }
        running = pool:run(function() while true do end end)
        queued = pool:run(print)
        error("the reason", 0)
      end)
      assert.same({ false, "the reason" }, { ok, why })
      assert.equal(CancelledError, getmetatable(failure(running)))
      assert.equal(CancelledError, getmetatable(failure(queued)))
      assert.is_true(eventually_none "error")
    end)

    it("goes on with what is queued when a worker dies", function()
      local pool = Pool { size = 1 }
      local dead, last = pool:run(function() os.exit() end), pool:run(function() return 1 end)
      pool:close()
      assert.match("ended before", message(dead))
      assert.equal(1, last:await())
    end)

    -- The port that heard of its workers stayed open.
    it("is not needed: a pool that nobody has ends its workers", function()
      local ports = require "isolate.core".ports
      local function count()
        local n = 0
        for _ in pairs(ports) do n = n + 1 end
        return n
      end
      local before = count()
      for _ = 1, 3 do Pool { size = 1, name = "lost" }:run(function() end):await() end
      collectgarbage()
      collectgarbage()
      assert.is_true(eventually_none "lost")
      assert.is_true(helper.eventually(function() return count() <= before end, 5,
        function() Isolate.sleep(0.002) end))
    end)

    it("is not needed at the end of a program, in any state #signal", function()
      for name, code in pairs {
        idle = "pool:run(function() end):await()",
        running = "pool:run(function() while true do end end)",
        queued = "for i = 1, 1000 do pool:run(function() while true do end end) end",
        ["waiting for room"] = "pool = Isolate.Pool{size = 1, queue = 1} for i = 1, 9 do "
          .. "Isolate.async(function() pool:run(function() while true do end end) end) end",
        failing = "pool = Isolate.Pool{init = error} pool:run(print)",
        closing = "Isolate.async(function() pool:run(function() while true do end end)"
          .. " pool:close() end)",
        map = "Isolate.async(function() pool:map(function() while true do end end, {1, 2}) end)",
      } do
        local got = helper.lua("local Isolate = require 'isolate'\n"
          .. "local pool = Isolate.Pool { size = 2 }\n" .. code .. "\nprint 'end'")
        assert.equal("end\n", got.stdout, name)
        assert.same({ 0, nil }, { got.status, got.signal }, name .. got.stderr)
      end
    end)

    it("of the isolate that made it ends the workers, and the jobs in the queue", function()
      local ran = Channel(100000)
      local maker = Isolate.spawn(function()
        local pool = Isolate.Pool { size = 1, name = "orphan" }
        for _ = 1, 1000 do pool:run(function() ran:send(1) Isolate.sleep(0.001) end) end
        Isolate.sleep(0.01)
        Isolate.exit()
      end)
      assert.is_true(maker:join(GUARD))
      assert.is_true(eventually_none "orphan")
      local n = 0
      while select(2, ran:receive(0)) == nil do n = n + 1 end
      assert.is_true(n < 1000)
    end)
  end)

  it("works inside of jobs, and inside of those", function()
    local pool <close> = Pool { size = 1 }
    assert.equal(6, pool:run(function()
      local inner <close> = Isolate.Pool { size = 2 }
      local sum = 0
      for _, v in ipairs(inner:map(function(x)
        local innermost <close> = Isolate.Pool { size = 1 }
        return innermost:run(function() return x end):await()
      end, { 1, 2, 3 })) do sum = sum + v end
      return sum
    end):await(GUARD))
  end)

  it("takes jobs from a job's callback", function()
    local pool <close> = Pool { size = 2 }
    local function add(v) return v + 1 end
    local result = pool:run(add, 0)
    for _ = 1, 20 do result = result:next(function(v) return pool:run(add, v) end) end
    assert.equal(21, result:await(GUARD))
  end)

  it("stays in its isolate", function()
    local pool <close> = Pool()
    assert.equal("<here> cannot send message: a Pool stays in its isolate",
      complaint(function() Channel():send(pool) end))
    assert.equal("<here> cannot send message: a Pool with options stays in its isolate",
      complaint(function() Channel():send(pool:with {}) end))
  end)
end)
