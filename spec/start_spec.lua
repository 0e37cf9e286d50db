-- start_spec.lua
-- How isolates start: a function begins before our Lua layer is there, which comes in when
-- the function waits, fails, uses the library or returns what cannot be sent. And on what:
-- a thread whose isolate has ended serves the next one, with a state that was made ahead.

local Isolate = require "isolate"
local helper  = require "spec.helper"
local alone   = require "spec.support.alone"

local GUARD = 10 * helper.slow -- seconds

local function values(future) return table.pack(future:await(GUARD)) end

-- What a sandbox may do to its globals, and to what `require` goes by.
local function spoil()
  local globals, next, package = _G, next, package
  local kept = { coroutine = coroutine, error = error }
  package.searchers, package.path = {}, ""
  for _, list in next, { package.loaded, package.preload, package, globals } do
    for name in next, list do list[name] = nil end
  end
  return kept
end

describe("a function that begins before our Lua layer is there", function()
  before_each(alone.begin)
  after_each(alone.check)

  it("has its error told, whatever it made of its globals", function()
    local e = alone.remote(Isolate.run(function()
      local kept = spoil()
      kept.error "spoilt"
    end))
    assert.matches("start_spec.lua:%d+: spoilt$", e.message)
    assert.matches("^stack traceback:", e.traceback)
    assert.matches("start_spec.lua:%d+: in function <", e.traceback)
  end)

  it("is told not to yield, whatever it made of its globals", function()
    local e = alone.remote(Isolate.run(function()
      local kept = spoil()
      kept.coroutine.yield(1)
    end))
    assert.equal("coroutine.yield in a task: a task waits with await, receive or sleep", e.message)
  end)

  it("waits, and goes on in the same coroutine", function()
    local same, sum = table.unpack(values(Isolate.run(function(x)
      local co = coroutine.running()
      local I = require "isolate"
      I.sleep(0)
      I.async(function() I.sleep(0) x = x + 1 end):await()
      return coroutine.running() == co and not select(2, coroutine.running()), x
    end, 41)))
    assert.is_true(same)
    assert.equal(42, sum)
  end)

  it("fails after a wait, and its to-be-closed variables are closed", function()
    local port = alone.new_port()
    local e = alone.remote(Isolate.run(function(reply)
      local I = require "isolate"
      local _ <close> = setmetatable({}, { __close = function() reply:send "closed" end })
      I.sleep(0)
      error("late", 0)
    end, port.send_port))
    assert.equal("late", e.message)
    assert.equal("closed", port:receive(GUARD))
  end)

  it("returns what only the layer can bring home: a Future, or why it cannot be sent", function()
    assert.equal(7, Isolate.run(function() return require "isolate".Future.delayed(0, function() return 7 end) end)
      :await(GUARD))
    local e = alone.remote(Isolate.run(function() return 1, coroutine.create(print) end))
    assert.matches("^cannot send result%[2%]: a coroutine stays in its isolate", e.message)
  end)

  it("runs what it made ready before it returned, and after its error nothing", function()
    local port = alone.new_port()
    Isolate.run(function(reply)
      local I = require "isolate"
      I.Future.value(1):next(function() reply:send "ready" end)
    end, port.send_port):await(GUARD)
    assert.equal("ready", port:receive(GUARD))
    local iso = Isolate.spawn(function(reply)
      local I = require "isolate"
      I.Future.value(1):next(function() reply:send "never" end)
      error "first"
    end, port.send_port, { on_error = port.send_port })
    assert.matches("first$", port:receive(GUARD)[1])
    assert.is_true(iso:join(GUARD))
    assert.is_nil(port:receive(0))
  end)

  it("answers a ping, and is held by a pause, though it never came to a loop", function()
    local port = alone.new_port()
    local iso = Isolate.spawn(function() end, nil, { paused = true, on_exit = port.send_port })
    iso:ping(port.send_port, "here")
    assert.equal("here", port:receive(GUARD))
    assert.is_true(helper.eventually(function()
      for _, it in ipairs(Isolate.list()) do
        if it.name == iso.name then return it.state == "paused" end
      end
    end))
    iso:resume(iso.pause_capability)
    assert.is_true(iso:join(GUARD))
  end)

  it("needs little memory", function()
    local used = values(Isolate.run(function() return collectgarbage "count" end))[1]
    assert.is_true(used < 40, used)
  end)
end)

-- The id of the thread that this runs on, where the system tells.
local function thread_id()
  local file <close> = io.open "/proc/thread-self/stat"
  return file and file:read "a":match "^%d+"
end

-- Runs isolates until one is on the thread of the one before: at the latest when the
-- threads that others have left, which take their turns, are gone.
local function on_the_same_thread(first, second, opts)
  return helper.eventually(function()
    local a, x = Isolate.run(function(id, fn) return id(), fn() end, thread_id, first):await(GUARD)
    local b, y = Isolate.compute(function(fns) return fns[1](), fns[2]() end, { thread_id, second }, opts):await(GUARD)
    return a == b and { x, y }
  end, GUARD, function() Isolate.sleep(1.1) end)
end

local linux = io.open "/proc/thread-self/stat"
local where = linux and describe or function(name) pending(name .. ": the system tells of no threads") end

where("a thread whose isolate has ended", function()
  before_each(alone.begin)
  after_each(alone.check)

  it("serves another one, which finds nothing of the first", function()
    local got = on_the_same_thread(function()
      leaked, string.leaked, package.loaded.leaked = 1, 2, 3 -- luacheck: ignore
      return "first"
    end, function()
      return tostring(rawget(_G, "leaked") or string.leaked or package.loaded.leaked) -- luacheck: ignore
    end)
    assert.same({ "first", "nil" }, got)
  end)

  it("gives the next one its own name, path, limit and CPU time", function()
    local function look()
      local I = require "isolate"
      for _, it in ipairs(I.list()) do
        if it.name == I.current.name then
          local task <close> = io.open "/proc/thread-self/comm"
          return { it.name, task:read(), package.path, it.cpu, (pcall(string.rep, "x", 2^22)) }
        end
      end
    end
    local function busy()
      local until_then = os.clock() + 0.2
      while os.clock() < until_then do end
      return true
    end
    local got = on_the_same_thread(busy, look, { name = "second", path = "/p/?.lua", memory_limit = 2^21 })[2]
    assert.same({ "second", "second", "/p/?.lua" }, { got[1], got[2], got[3] })
    assert.is_true(got[4] < 0.2, "it has the time of another: " .. got[4])
    assert.is_false(got[5])
  end)

  it("is not used again when it was interrupted #signal", function()
    local port = alone.new_port()
    for _ = 1, 20 do
      local iso = Isolate.spawn(function(reply)
        local file <close> = io.open "/proc/thread-self/stat"
        reply:send(file:read "a":match "^%d+")
        while true do end
      end, port.send_port)
      local killed = port:receive(GUARD)
      iso:kill(Isolate.immediate)
      assert.is_true(iso:join(GUARD))
      assert.is_true(Isolate.run(thread_id):await(GUARD) ~= killed)
    end
  end)

  -- The next job is put where the thread that has just answered takes it when it is free.
  -- That may be never: then somebody else has to.
  it("does not keep the next one waiting while its state is closed", function()
    local gate = helper.tempdir() .. "/gate"
    local result = helper.lua(("local gate = %q\n"):format(gate) .. [[
      local Isolate = require "isolate"
      local function slow() -- its state closes when the gate is there
        kept = setmetatable({}, { __gc = function()
          local file
          repeat file = io.open(gate) until file
          file:close()
        end })
        return "slow"
      end
      local function quick() return "quick" end
      print(Isolate.run(slow):await(), Isolate.run(quick):await()) -- no other thread waits
      local a, b = Isolate.run(quick), Isolate.run(quick)
      a:await()
      b:await()
      print(Isolate.run(slow):await(), Isolate.run(quick):await()) -- others do
      io.open(gate, "w"):close()
    ]])
    assert.equal("slow\tquick\nslow\tquick\n", result.stdout)
  end)

  it("takes each job once when many spawn at the same time", function()
    local spawners, runs = {}, 100 // helper.slow
    for i = 1, 4 do
      spawners[i] = Isolate.run(function()
        local I, sum = require "isolate", 0
        for k = 1, runs do sum = sum + I.run(function() return k end):await() end
        return sum
      end)
    end
    for i = 1, 4 do assert.equal(runs * (runs + 1) // 2, spawners[i]:await(GUARD)) end
  end)

  it("is told from one with a stack of its own", function()
    Isolate.run(function() end):await(GUARD)
    local depth = Isolate.compute(function()
      local function deep(n) return n == 0 and 0 or 1 + select(2, pcall(deep, n - 1)) end
      return deep(150)
    end, nil, { stack_size = 4 * 1024 * 1024 }):await(GUARD)
    assert.equal(150, depth)
  end)

  it("is woken by the signal that was chosen for its next isolate #signal", function()
    local before = Isolate.stop_signal()
    for _, signal in ipairs { 12, false, before } do
      Isolate.stop_signal(signal)
      Isolate.run(function() end):await(GUARD)
      local iso = Isolate.spawn(function() while true do local _ = {} end end)
      iso:kill(Isolate.immediate)
      assert.is_true(iso:join(GUARD))
    end
    Isolate.stop_signal(before)
  end)
end)

describe("isolates with states made ahead", function()
  before_each(alone.begin)
  after_each(alone.check)

  it("have random numbers of their own", function()
    local seen = {}
    for _ = 1, 30 do
      local n = Isolate.run(function() return math.random(0) end):await(GUARD)
      assert.is_nil(seen[n])
      seen[n] = true
    end
  end)

  it("find what was changed between two spawns: path, preloaded modules, searchers", function()
    local path = package.path
    local function found() return package.path, (pcall(require, "spec.made_between")) end
    assert.is_false(select(2, Isolate.run(found):await(GUARD)))
    package.path = "/elsewhere/?.lua"
    package.preload["spec.made_between"] = function() return {} end
    local future = Isolate.run(found)
    package.path, package.preload["spec.made_between"] = path, nil
    assert.same({ n = 2, "/elsewhere/?.lua", true }, values(future))
    assert.is_false(select(2, Isolate.run(found):await(GUARD)))
  end)

  it("have no more memory than their limit, and no less", function()
    for _ = 1, 3 do
      Isolate.run(function() end):await(GUARD)
      local e = alone.remote(Isolate.compute(function() return ("x"):rep(100000) end, nil, { memory_limit = 100000 }))
      assert.equal("not enough memory", e.message)
      assert.equal(50000, #Isolate.compute(function() return ("x"):rep(50000) end, nil, { memory_limit = 200000 })
        :await(GUARD))
    end
  end)

  it("tell of all that is theirs", function()
    local listed, counted = table.unpack(values(Isolate.run(function()
      local I = require "isolate"
      collectgarbage()
      collectgarbage "stop"
      local counted = collectgarbage "count" * 1024
      for _, it in ipairs(I.list()) do
        if it.id == select(6, require "isolate.core".self()) then return it.memory, counted end
      end
    end)))
    assert.is_true(listed >= counted and listed < counted + 4000, listed .. " bytes listed, " .. counted .. " counted")
  end)

  it("are at most eight when nobody needs them, and none a while later", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local function threads()
        local file <close> = io.open "/proc/self/status"
        local sanitizer = os.getenv "SANITIZER" == "tsan" and 1 or 0 -- it has one, too
        return tonumber(file:read "a":match "Threads:%s*(%d+)") - sanitizer
      end
      local function eventually(fn)
        for _ = 1, 1000 do
          if fn() then return true end
          Isolate.sleep(0.01)
        end
        return false
      end
      local list = {}
      for i = 1, 20 do
        list[i] = Isolate.spawn(function() end, nil, { paused = true })
      end
      print(threads())
      for _, it in ipairs(list) do it:resume(it.pause_capability) end
      for _, it in ipairs(list) do it:join() end
      print(eventually(function() return threads() <= 9 end))
      print(eventually(function() return threads() == 1 end))
      print(Isolate.run(function() return "again" end):await())
    ]]
    assert.equal("21\ntrue\ntrue\nagain\n", result.stdout)
  end)
end)
