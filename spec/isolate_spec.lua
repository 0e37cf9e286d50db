-- isolate_spec.lua
-- Isolates from birth to death: run, compute, spawn, exit, handles, options,
-- and what an isolate has of its own. Kills under attack are in kill_spec,
-- the end of the program in ending_spec.

local Isolate = require "isolate"
local helper = require "spec.helper"

local GUARD = 10 * helper.slow -- seconds; reached only by what hangs

-- What a Future brings, with `n`.
local function values(future)
  return table.pack(future:await(GUARD))
end

-- The error a Future fails with.
local function failure(future)
  local ok, err = pcall(future.await, future, GUARD)
  assert(not ok, "the Future should have failed")
  return err
end

-- The error of a call, as text.
local function complaint(fn, ...)
  local ok, err = pcall(fn, ...)
  assert(not ok, "the call should have raised")
  return tostring(err)
end

local function contains(text, part)
  assert(tostring(text):find(part, 1, true), ("%q does not contain %q"):format(tostring(text), part))
end

-- The next message of a port, and how many values came.
local function take(port)
  local got = table.pack(port:receive(GUARD))
  assert(got.n == 1, "nothing came: " .. tostring(got[2]))
  return got[1], got.n
end

-- The next messages of a port, as a list with `n`.
local function take_all(port, n)
  local list = {n = n}
  for i = 1, n do list[i] = take(port) end
  return list
end

-- The text of a small file; works in every isolate.
local function contents(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- The ids of the running thread and of the process.
local function thread_ids()
  local status = contents "/proc/thread-self/status"
  return tonumber(status:match "\nPid:%s*(%d+)"), tonumber(status:match "\nTgid:%s*(%d+)")
end

-- For spawn: sends a port of its own, echoes what comes there, ends at "end".
local function echo(reply)
  local inbox = Isolate.ReceivePort()
  reply:send(inbox.send_port)
  for _, message in inbox:messages() do
    if message == "end" then break end
    reply:send(message)
  end
  inbox:close()
end

-- For run and compute: hands its handle over, then never ends.
local function never_end(reply)
  reply:send(Isolate.current)
  while true do end
end

-- A program's prelude that finds the interpreter it runs in: `lua`.
local INTERPRETER = [[
local lua = 0
while arg[lua - 1] do lua = lua - 1 end
lua = arg[lua]
]]

-- Runs a program of its own and returns the helper's record; it must have
-- ended by itself.
local function program(code, opts)
  opts = opts or {}
  opts.guard = opts.guard or 20
  local result = helper.lua(code, opts)
  assert(not result.timed_out, "the guard ended the program; stderr: " .. result.stderr)
  assert(not result.signal, "the program died of signal " .. tostring(result.signal))
  return result
end

describe("Isolate", function()
  it("tells its version", function()
    assert.are.equal("isolate 0.1.0", Isolate._VERSION)
  end)

  it("knows the main isolate, and the others", function()
    assert.is_true(Isolate.is_main)
    assert.is_false(Isolate.run(function() return Isolate.is_main end):await(GUARD))
  end)

  it("has the running isolate as `current`", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(reply) reply:send(Isolate.current) end, port.send_port)
    local told = take(port)
    assert.is_true(told == iso)
    assert.is_false(told == Isolate.current)
    assert.is_true(Isolate.current == Isolate.current)
  end)

  it("starts no thread and catches no signal before the first spawn", function()
    local result = program [[
      local function state()
        local file <close> = assert(io.open "/proc/self/status")
        local text = file:read "a"
        -- the C library may use signals over 31 for its threads
        local caught = tonumber(text:match "\nSigCgt:%s*(%x+)", 16) & 0x7fffffff
        return text:match "\nThreads:%s*(%d+)", caught
      end
      local _, caught = state()
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      port.send_port:send { 1 }
      port:receive(1)
      Isolate.sleep(0.01)
      local threads, now = state()
      print(threads, now == caught)
      Isolate.run(function() end):await()
      print(select(2, state()) == caught)
    ]]
    assert.are.equal("1\ttrue\ntrue\n", result.stdout)
  end)

  it("works when it was first required in a coroutine that is gone", function()
    local result = program [[
      coroutine.wrap(function()
        local Isolate = require "isolate"
        Isolate.run(function() end):await()
      end)()
      collectgarbage() collectgarbage()
      local Isolate = require "isolate"
      print(Isolate.run(function(x) return x + 1 end, 41):await())
    ]]
    assert.are.equal("42\n", result.stdout)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
  end)
end)

describe("Isolate.run", function()
  local results = {
    {"many values", function() return 1, "two", 3.0, {4} end, {n = 4, 1, "two", 3.0, {4}}},
    {"nils in every place", function() return nil, 2, nil, nil end, {n = 4, nil, 2}},
    {"one nil", function() return nil end, {n = 1}},
    {"nothing", function() end, {n = 0}},
    {"200 values", function() return table.unpack({}, 1, 200) end, {n = 200}},
  }
  for _, row in ipairs(results) do
    it("brings back " .. row[1], function()
      assert.are.same(row[3], values(Isolate.run(row[2])))
    end)
  end

  it("keeps the subtype of numbers", function()
    local got = values(Isolate.run(function() return 3, 3.0 end))
    assert.are.equal("integer", math.type(got[1]))
    assert.are.equal("float", math.type(got[2]))
  end)

  it("calls the function with its arguments, nils included", function()
    local got = values(Isolate.run(function(...) return select("#", ...), ... end, 1, nil, "three", nil))
    assert.are.same({n = 5, 4, 1, nil, "three"}, got)
  end)

  it("keeps shared what arguments share with each other and with the function", function()
    local shared = {}
    local got = values(Isolate.run(function(a, b)
      a.mark = "set"
      return rawequal(a, b), rawequal(a, shared), b.mark, shared.mark
    end, shared, shared))
    assert.are.same({n = 4, true, true, "set", "set"}, got)
    assert.is_nil(shared.mark)
  end)

  it("keeps shared what two functions share", function()
    local count = 0
    local function up() count = count + 1 end
    local function get() return count end
    local got = values(Isolate.run(function() up() up() return get() end))
    assert.are.same({n = 1, 2}, got)
    assert.are.equal(0, count)
  end)

  it("keeps shared what results share", function()
    local got = values(Isolate.run(function() local t = {} return t, {inner = t} end))
    assert.is_true(rawequal(got[1], got[2].inner))
  end)

  it("runs on an OS thread of its own, in this process", function()
    local tid, pid = Isolate.run(thread_ids):await(GUARD)
    local here, process = thread_ids()
    assert.are.equal(process, pid)
    assert.are_not.equal(here, tid)
  end)

  it("gives every isolate that lives at once a thread of its own", function()
    local port <close> = Isolate.ReceivePort()
    local seen, inboxes = {[thread_ids()] = true}, {}
    for i = 1, 4 do
      Isolate.spawn(function(reply)
        local inbox = Isolate.ReceivePort()
        reply:send {inbox.send_port, (thread_ids())}
        inbox:first():await()
      end, port.send_port)
      local message = take(port)
      inboxes[i] = message[1]
      assert.is_nil(seen[message[2]])
      seen[message[2]] = true
    end
    for _, inbox in ipairs(inboxes) do inbox:send "end" end
  end)

  it("runs while the main isolate never lets go", function()
    local dir = helper.tempdir()
    local function wait_for(path)
      local deadline = os.time() + 10
      repeat
        local file = io.open(path)
        if file then file:close() return true end
      until os.time() > deadline
      return false
    end
    local function make(path) assert(io.open(path, "w")):close() end
    local future = Isolate.run(function()
      local came = wait_for(dir .. "/from_main")
      make(dir .. "/from_isolate")
      return came
    end)
    make(dir .. "/from_main")
    assert.is_true(wait_for(dir .. "/from_isolate"))
    assert.is_true(future:await(GUARD))
  end)

  it("runs the function as a task that may wait", function()
    local got = values(Isolate.run(function()
      local said = {}
      local other = Isolate.async(function()
        said[#said + 1] = "other starts"
        Isolate.sleep(0.02)
        said[#said + 1] = "other ends"
      end)
      said[#said + 1] = "first waits"
      other:await()
      said[#said + 1] = "first ends"
      return said
    end))
    assert.are.same({"other starts", "first waits", "other ends", "first ends"}, got[1])
  end)

  it("can be awaited any number of times", function()
    local future = Isolate.run(function() return {} end)
    local first, second = future:await(GUARD), future:await(GUARD)
    assert.is_true(rawequal(first, second))
    assert.is_true(future:is_done())
  end)

  it("ends the isolate, whatever is left open there", function()
    local iso = Isolate.run(function()
      Isolate.ReceivePort()
      Isolate.Timer.periodic(0.01, function() end)
      Isolate.async(function() Isolate.sleep(1000) end)
      return Isolate.current
    end):await(GUARD)
    assert.is_true(iso:join(GUARD))
  end)

  it("nests: isolates start isolates that start isolates", function()
    local function nest(depth)
      if depth == 0 then return 0 end
      return 1 + Isolate.run(nest, depth - 1):await()
    end
    assert.are.equal(25, Isolate.run(nest, 25):await(GUARD))
  end)

  local unsendable = {
    {"an argument", "cannot send argument[2]: a coroutine stays in its isolate",
      function() Isolate.run(print, 1, coroutine.create(print)) end},
    {"deep in an argument", "cannot send argument[1].jobs[3].callback: a coroutine stays in its isolate",
      function() Isolate.run(print, {jobs = {1, 2, {callback = coroutine.create(print)}}}) end},
    {"an upvalue", "cannot send fn.upvalue 'stuck': a coroutine stays in its isolate",
      function()
        local stuck = coroutine.create(print)
        Isolate.run(function() return stuck end)
      end},
    {"an open file", "cannot send fn.upvalue 'file': an open file stays in its isolate",
      function()
        local file <close> = io.tmpfile()
        Isolate.run(function() return file end)
      end},
  }
  for _, row in ipairs(unsendable) do
    it("raises at the call for what cannot be sent: " .. row[1], function()
      contains(complaint(row[3]), row[2])
    end)
  end

  it("raises for what is no function", function()
    contains(complaint(Isolate.run, 5), "function")
    contains(complaint(Isolate.run), "function")
  end)

  it("fails with a RemoteError that tells message, place, isolate and value", function()
    local err = failure(Isolate.run(function() error "boom" end))
    assert.is_true(getmetatable(err) == Isolate.RemoteError)
    assert.is_truthy(err.message:find "isolate_spec%.lua:%d+: boom$")
    assert.is_truthy(err.traceback:find "isolate_spec%.lua:%d+")
    assert.is_truthy(err.isolate:find "isolate_spec%.lua:%d+$")
    assert.are.equal(err.message, err.value)
    contains(tostring(err), err.message)
    contains(tostring(err), err.traceback)
  end)

  local errors = {
    {"a table", function() error {code = 7} end, function(v) return v.code == 7 end},
    {"an integer", function() error(12, 0) end, function(v) return v == 12 end},
    {"false", function() error(false) end, function(v) return v == false end},
    {"nil", function() error(nil) end, function(v) return v == nil end},
    {"a string without place", function() error("plain", 0) end, function(v) return v == "plain" end},
  }
  for _, row in ipairs(errors) do
    it("makes a RemoteError of " .. row[1] .. " that was raised", function()
      local err = failure(Isolate.run(row[2]))
      assert.is_true(getmetatable(err) == Isolate.RemoteError)
      assert.is_true(row[3](err.value))
    end)
  end

  it("leaves out the value of an error that cannot be sent, and keeps its text", function()
    local err = failure(Isolate.run(function()
      error(setmetatable({coroutine.create(print)}, {__tostring = function() return "sad" end}))
    end))
    assert.are.equal("sad", err.message)
    assert.is_nil(err.value)
  end)

  it("fails when a result cannot be sent", function()
    local err = failure(Isolate.run(function() return 1, coroutine.create(print) end))
    assert.is_true(getmetatable(err) == Isolate.RemoteError)
    contains(err.message, "cannot send result[2]: a coroutine stays in its isolate")
  end)

  it("names the isolate after its function", function()
    local fn = load("\n\nreturn function() error 'x' end", "@app.lua")()
    assert.are.equal("app.lua:3", failure(Isolate.run(fn)).isolate)
  end)
end)

describe("Isolate.compute", function()
  it("calls the function with one message and brings back all results", function()
    local got = values(Isolate.compute(function(...) return select("#", ...), ... end, {5}))
    assert.are.same({n = 2, 1, {5}}, got)
  end)

  it("fails as run does", function()
    local err = failure(Isolate.compute(function(n) error("no " .. n) end, 3))
    assert.is_true(getmetatable(err) == Isolate.RemoteError)
    assert.is_truthy(err.message:find "no 3$")
  end)

  it("runs in an isolate of its own", function()
    assert.are_not.equal(thread_ids(), (Isolate.compute(thread_ids):await(GUARD)))
  end)

  it("takes a name", function()
    local err = failure(Isolate.compute(function() error "x" end, nil, {name = "adder"}))
    assert.are.equal("adder", err.isolate)
  end)

  it("ignores a timeout that is not reached", function()
    assert.are.equal(3, Isolate.compute(function(n) return n + 1 end, 2, {timeout = GUARD}):await(GUARD))
  end)

  it("fails with a TimeoutError over its timeout, and kills the isolate #signal", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.compute(never_end, port.send_port, {timeout = 0.1})
    local iso = take(port)
    local err = failure(future)
    assert.is_true(getmetatable(err) == Isolate.TimeoutError)
    assert.are.equal("TimeoutError", err.name)
    assert.is_string(err.message)
    assert.is_true(iso:join(GUARD))
  end)

  it("kills over its timeout though nobody waits for the Future #signal", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.compute(never_end, port.send_port, {timeout = 0.1})
    future:catch(function() end)
    assert.is_true(take(port):join(GUARD))
  end)

  it("is killed by cancel #signal", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.compute(never_end, port.send_port)
    local iso = take(port)
    future:cancel()
    assert.is_true(iso:join(GUARD))
    assert.is_true(getmetatable(failure(future)) == Isolate.CancelledError)
  end)
end)

describe("Isolate.spawn", function()
  it("returns before the function has ended", function()
    local path = helper.tempdir() .. "/go"
    local iso = Isolate.spawn(function(go)
      local deadline = os.time() + 10
      repeat local file = io.open(go) until file or os.time() > deadline
    end, path)
    assert.are.same({n = 2, nil, "timeout"}, table.pack(iso:join(0.02)))
    assert(io.open(path, "w")):close()
    assert.is_true(iso:join(GUARD))
  end)

  it("copies function and message before it returns", function()
    local port <close> = Isolate.ReceivePort()
    local upvalue, message = "old", {text = "old", reply = port.send_port}
    Isolate.spawn(function(m) m.reply:send {m.text, upvalue} end, message)
    upvalue, message.text = "new", "new"
    assert.are.same({"old", "old"}, take(port))
    assert.are.equal("new", upvalue)
  end)

  it("passes exactly one message, nil when there is none", function()
    local port <close> = Isolate.ReceivePort()
    local reply = port.send_port
    Isolate.spawn(function(...) reply:send {select("#", ...), (...)} end)
    assert.are.same({1}, take(port))
  end)

  it("calls the function as a task, in the running loop", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function(reply)
      reply:send {pcall(Isolate.loop)}
      reply:send {pcall(Isolate.step)}
    end, port.send_port)
    for _ = 1, 2 do
      local got = take(port)
      assert.is_false(got[1])
      contains(got[2], "loop")
    end
  end)

  it("calls the function before any other event", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function(reply)
      Isolate.Timer(0, function() reply:send "timer" end)
      local inbox = Isolate.ReceivePort()
      inbox:listen(function(m) reply:send(m) inbox:close() end)
      inbox.send_port:send "message"
      reply:send "function"
    end, port.send_port)
    assert.are.equal("function", take(port))
    local rest = take_all(port, 2)
    table.sort(rest)
    assert.are.same({n = 2, "message", "timer"}, rest)
  end)

  local raises = {
    {"a message that cannot be sent", "cannot send message.co: a coroutine stays in its isolate",
      function() Isolate.spawn(print, {co = coroutine.create(print)}) end},
    {"a function that cannot be sent", "cannot send fn.upvalue 'co': a coroutine stays in its isolate",
      function()
        local co = coroutine.create(print)
        Isolate.spawn(function() return co end)
      end},
    {"what is no function", "function", function() Isolate.spawn "print" end},
  }
  for _, row in ipairs(raises) do
    it("raises for " .. row[1], function()
      contains(complaint(row[3]), row[2])
    end)
  end

  describe("ends", function()
    local endings = {
      {"when its function has returned and nothing is open", function() end},
      {"though a task waits that nothing can wake", function()
        Isolate.Completer().future:await()
      end},
      {"though ports without keep_alive are open", function()
        Isolate.RawReceivePort(print).keep_alive = false
      end},
      {"after its last timer", function() Isolate.Timer(0.02, function() end) end},
      {"after its last sleep", function() Isolate.sleep(0.02) end},
      {"when its last port is closed", function()
        local port = Isolate.ReceivePort()
        Isolate.Timer(0.02, function() port:close() end)
      end},
      {"when the isolate that it waits for has answered", function()
        Isolate.run(function() Isolate.sleep(0.02) end):await()
      end},
      {"when the isolate that it joins has ended", function()
        Isolate.spawn(function() Isolate.sleep(0.02) end):join()
      end},
      {"by an error of its function", function() error "on purpose" end},
    }
    for _, row in ipairs(endings) do
      it(row[1], function()
        local port <close> = Isolate.ReceivePort()
        local iso = Isolate.spawn(row[2], nil, {on_error = port.send_port})
        assert.is_true(iso:join(GUARD))
      end)
    end

    local lives = {
      {"it has an open port", function(reply)
        local inbox = Isolate.ReceivePort()
        inbox:listen(function() inbox:close() end)
        reply:send(inbox.send_port)
      end},
      {"it has an open raw port", function(reply)
        local inbox = Isolate.RawReceivePort()
        inbox.handler = function() inbox:close() end
        reply:send(inbox.send_port)
      end},
      {"it has an open port that nobody refers to any more", function(reply)
        reply:send((function()
          local inbox = Isolate.ReceivePort()
          inbox:listen(function() inbox:close() end)
          return inbox.send_port
        end)())
        collectgarbage()
        collectgarbage()
      end},
      {"it waits for a message", function(reply)
        local inbox <close> = Isolate.ReceivePort()
        reply:send(inbox.send_port)
        inbox:receive()
      end},
    }
    for _, row in ipairs(lives) do
      it("not while " .. row[1], function()
        local port <close> = Isolate.ReceivePort()
        local iso = Isolate.spawn(row[2], port.send_port)
        local inbox = take(port)
        assert.are.same({n = 2, nil, "timeout"}, table.pack(iso:join(0.03)))
        inbox:send "end"
        assert.is_true(iso:join(GUARD))
      end)
    end
  end)

  it("goes on though its handle is collected (pain 30)", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(echo, port.send_port)
    collectgarbage()
    collectgarbage()
    local inbox = take(port)
    collectgarbage()
    inbox:send "hello"
    assert.are.equal("hello", take(port))
    inbox:send "end"
  end)

  it("does not keep its spawner alive", function()
    local result = program [[
      local Isolate = require "isolate"
      Isolate.spawn(function() Isolate.ReceivePort() end)
      Isolate.loop()
      print "over"
    ]]
    assert.are.equal("over\n", result.stdout)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
  end)

  it("makes isolates that outlive their spawner", function()
    local port <close> = Isolate.ReceivePort()
    local spawner = Isolate.spawn(function(reply) Isolate.spawn(echo, reply) end, port.send_port)
    assert.is_true(spawner:join(GUARD))
    local child = take(port)
    child:send "still here"
    assert.are.equal("still here", take(port))
    child:send "end"
  end)

  it("makes isolates that outlive a chain of spawners", function()
    local port <close> = Isolate.ReceivePort()
    local function chain(message)
      if message.left == 0 then return echo(message.reply) end
      Isolate.spawn(chain, {left = message.left - 1, reply = message.reply})
    end
    Isolate.spawn(chain, {left = 30, reply = port.send_port})
    local last = take(port)
    last:send "thirty"
    assert.are.equal("thirty", take(port))
    last:send "end"
  end)
end)

describe("opts", function()
  it("on_exit hears nil, last of all", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function(reply)
      reply:send "first"
      Isolate.Timer(0.01, function() reply:send "second" end)
    end, port.send_port, {on_exit = port.send_port})
    assert.are.same({n = 3, "first", "second"}, take_all(port, 3))
  end)

  it("on_exit hears of an end by an error, after on_error", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function() error "boom" end, nil, {on_exit = port.send_port, on_error = port.send_port})
    local got = take_all(port, 2)
    assert.are.equal(2, #got[1])
    assert.is_nil(got[2])
  end)

  it("on_error hears message and traceback, two strings", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function() error "boom" end, nil, {on_error = port.send_port})
    local got = take(port)
    assert.are.equal(2, #got)
    assert.is_truthy(got[1]:find "isolate_spec%.lua:%d+: boom$")
    assert.is_truthy(got[2]:find "isolate_spec%.lua:%d+")
  end)

  local places = {
    {"its function", function() error "here" end},
    {"a timer", function() Isolate.Timer(0, function() error "here" end) end},
    {"a message's handler", function()
      local inbox = Isolate.ReceivePort()
      inbox:listen(function() error "here" end)
      inbox.send_port:send(1)
    end},
    {"a handler after it waited", function()
      local inbox = Isolate.ReceivePort()
      inbox:listen(function() Isolate.sleep(0.01) error "here" end)
      inbox.send_port:send(1)
    end},
  }
  for _, row in ipairs(places) do
    it("an uncaught error of " .. row[1] .. " is told, and ends the isolate", function()
      local port <close> = Isolate.ReceivePort()
      local iso = Isolate.spawn(row[2], nil, {on_error = port.send_port})
      assert.is_truthy(take(port)[1]:find "isolate_spec%.lua:%d+: here$")
      assert.is_true(iso:join(GUARD))
    end)
  end

  it("errors_are_fatal = false lets it go on after an error", function()
    local port <close> = Isolate.ReceivePort()
    local errors <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(reply)
      local inbox = Isolate.ReceivePort()
      inbox:listen(function(message)
        if message == "end" then inbox:close() return end
        if message == "fail" then error "on purpose" end
        reply:send(message)
      end)
      reply:send(inbox.send_port)
    end, port.send_port, {errors_are_fatal = false, on_error = errors.send_port})
    local inbox = take(port)
    inbox:send "fail"
    inbox:send "still here"
    assert.is_truthy(take(errors)[1]:find "on purpose$")
    assert.are.equal("still here", take(port))
    inbox:send "end"
    assert.is_true(iso:join(GUARD))
  end)

  it("an error that nobody listens for goes to stderr, with name and traceback", function()
    local result = program [[
      local Isolate = require "isolate"
      local iso = Isolate.spawn(function()
        local function paint() error "no colour" end
        paint()
      end, nil, {name = "painter"})
      print(iso:join(5))
    ]]
    assert.are.equal("true\n", result.stdout)
    assert.are.equal(0, result.status)
    assert.are.equal("isolate 'painter': ", result.stderr:sub(1, 19))
    contains(result.stderr, ": no colour\n")
    contains(result.stderr, "stack traceback:")
    contains(result.stderr, "paint")
  end)

  it("an error that a listener heard is not on stderr", function()
    local result = program [[
      local Isolate = require "isolate"
      local port <close> = Isolate.ReceivePort()
      Isolate.spawn(function() error "no colour" end, nil, {on_error = port.send_port})
      print(#port:receive(5))
    ]]
    assert.are.equal("2\n", result.stdout)
    assert.are.equal("", result.stderr)
  end)

  it("name is the handle's name; without it the function's place", function()
    local fn = load("\n\nreturn function() end", "@app.lua")()
    assert.are.equal("app.lua:3", Isolate.spawn(fn).name)
    assert.are.equal("worker 7", Isolate.spawn(fn, nil, {name = "worker 7"}).name)
  end)

  it("name is the name of the OS thread (pain 28)", function()
    local fn = load([[return function()
      local file <close> = io.open "/proc/thread-self/comm"
      return file:read()
    end]], "@app.lua")()
    assert.are.equal("app.lua:1", Isolate.run(fn):await(GUARD))
    assert.are.equal("resizer", Isolate.compute(fn, nil, {name = "resizer"}):await(GUARD))
    assert.are.equal("app.lua:1", Isolate.run(fn):await(GUARD))
  end)

  it("name may be longer than the system allows for threads", function()
    local long = ("long name "):rep(20)
    local iso = Isolate.spawn(function() end, nil, {name = long})
    assert.are.equal(long, iso.name)
    assert.is_true(iso:join(GUARD))
  end)

  it("path and cpath replace the spawner's", function()
    local opts = {path = "/nowhere/?.lua", cpath = "/nowhere/?.so"}
    local got = values(Isolate.compute(function() return package.path, package.cpath end, nil, opts))
    assert.are.same({n = 2, "/nowhere/?.lua", "/nowhere/?.so"}, got)
  end)

  it("path finds modules there", function()
    local dir = helper.tempdir()
    helper.write(dir .. "/isolate_spec_near.lua", "return {answer = 42}")
    local function answer() return require "isolate_spec_near".answer end
    assert.are.equal(42, Isolate.compute(answer, nil, {path = dir .. "/?.lua"}):await(GUARD))
  end)

  it("libs are all standard libraries by default", function()
    local got = values(Isolate.run(function()
      local names = {}
      for _, name in ipairs {"coroutine", "debug", "io", "math", "os", "package", "string", "table", "utf8"} do
        if package.loaded[name] == _G[name] and type(_G[name]) == "table" then names[#names + 1] = name end
      end
      return #names
    end))
    assert.are.same({n = 1, 9}, got)
  end)

  it("libs chooses the libraries; base is always there", function()
    local function kinds()
      return type(string), type(math), type(io), type(os), type(debug), type(pcall)
    end
    local got = values(Isolate.compute(kinds, nil, {libs = {"string", "math"}}))
    assert.are.same({n = 6, "table", "table", "nil", "nil", "nil", "function"}, got)
    got = values(Isolate.compute(kinds, nil, {libs = {}}))
    assert.are.same({n = 6, "nil", "nil", "nil", "nil", "nil", "function"}, got)
  end)

  -- The library has what it needs for itself, and loads it there when it is used.
  it("libs takes nothing from this library", function()
    local names = {}
    for name in io.open("lua/isolate/init.lua"):read "a":gmatch "\n  (%a[%w_]*) = " do names[#names + 1] = name end
    assert.is_true(#names > 30)
    local got = values(Isolate.compute(function()
      local there, absent = require "isolate", {}
      for _, name in ipairs(names) do
        if there[name] == nil then absent[#absent + 1] = name end
      end
      local port <close> = there.ReceivePort()
      port:map(tostring):listen(function() end)
      local other <close> = there.ReceivePort()
      other.send_port:send "message"
      return absent, (other:receive())
    end, nil, {libs = {"package"}}))
    assert.are.same({n = 2, {}, "message"}, got)
  end)

  it("a memory_limit raises Lua's own error, which may be caught (pain 23)", function()
    local got = values(Isolate.compute(function()
      return pcall(string.rep, "x", 64 * 2 ^ 20)
    end, nil, {memory_limit = 16 * 2 ^ 20}))
    assert.are.same({n = 2, false, "not enough memory"}, got)
  end)

  it("a memory_limit ends the isolate that does not catch it, alone (pain 23)", function()
    local err = failure(Isolate.compute(function()
      local list
      while true do list = {list} end
    end, nil, {memory_limit = 16 * 2 ^ 20}))
    contains(err.message, "not enough memory")
    assert.are.equal(42, Isolate.run(function() return 42 end):await(GUARD))
  end)

  it("a memory_limit counts what is received", function()
    local err = failure(Isolate.compute(function(s) return #s end, ("x"):rep(16 * 2 ^ 20),
      {memory_limit = 4 * 2 ^ 20}))
    contains(err.message, "not enough memory")
  end)

  local stacks = {
    {"under 512 KiB", 524287},
    {"zero", 0},
    {"negative", -1},
  }
  for _, row in ipairs(stacks) do
    it("a stack_size that is " .. row[1] .. " is refused", function()
      contains(complaint(Isolate.spawn, print, nil, {stack_size = row[2]}), "stack_size")
    end)
  end

  it("a stack_size of 512 KiB bears the deepest C calls that Lua allows (pain 37) #slow", function()
    local result = program [[
      local Isolate = require "isolate"
      local function gsub() return (("x"):gsub("x", gsub)) end
      local function sort() table.sort({1, 2}, sort) end
      local function index() local t = setmetatable({}, {__index = function() return index() end}) return t.x end
      local function parse() return load("return " .. ("("):rep(10000)) end
      local function wrap() return coroutine.wrap(wrap)() end
      local function close()
        local t <close> = setmetatable({}, {__close = close})
      end
      for _, fn in ipairs {gsub, sort, index, parse, wrap, close} do
        print((Isolate.compute(function() return pcall(fn) end, nil, {stack_size = 524288}):await(10)))
      end
    ]]
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
    assert.are.equal("false\nfalse\nfalse\ntrue\nfalse\nfalse\n", result.stdout)
  end)

  it("a stack_size that no system grants raises an IsolateSpawnError", function()
    local ok, err = pcall(Isolate.spawn, print, nil, {stack_size = 1 << 46})
    assert.is_false(ok)
    assert.is_true(getmetatable(err) == Isolate.IsolateSpawnError)
    assert.are.equal("IsolateSpawnError", err.name)
    assert.is_string(err.message)
    ok, err = pcall(function() Isolate.compute(print, nil, {stack_size = 1 << 46}):await(GUARD) end)
    assert.is_false(ok)
    assert.is_true(getmetatable(err) == Isolate.IsolateSpawnError)
    assert.are.equal(42, Isolate.run(function() return 42 end):await(GUARD))
  end)

  -- a sanitizer needs more addresses than this allows
  local sanitized = os.getenv "ASAN_OPTIONS" or os.getenv "TSAN_OPTIONS"
  local limited_it = sanitized and pending or it
  limited_it("threads that the system refuses raise an IsolateSpawnError, and the program goes on", function()
    local result = program(INTERPRETER .. [[
      local ok, _, code = os.execute("ulimit -v 2500000 && exec " .. lua .. " crowd.lua")
      os.exit(ok and 0 or code)
    ]], {files = {["crowd.lua"] = [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local opts, crowd = {stack_size = 256 << 20}, {}
      while #crowd < 100 do
        local ok, iso = pcall(Isolate.spawn, function(reply)
          local inbox = Isolate.ReceivePort()
          reply:send(inbox.send_port)
          inbox:first():await()
        end, port.send_port, opts)
        if not ok then
          print(iso.name, getmetatable(iso) == Isolate.IsolateSpawnError)
          break
        end
        crowd[#crowd + 1] = {iso, port:receive(5)}
      end
      print(#crowd > 0, #crowd < 100)
      for _, one in ipairs(crowd) do
        one[2]:send "end"
        one[1]:join(5)
      end
      print(Isolate.run(function() return 42 end):await(5))
    ]]}})
    assert.are.equal("", result.stderr)
    assert.are.equal("IsolateSpawnError\ttrue\ntrue\ttrue\n42\n", result.stdout)
    assert.are.equal(0, result.status)
  end)

  local function spawn(opts) Isolate.spawn(print, nil, opts) end
  local function compute(opts) Isolate.compute(print, nil, opts) end
  local wrong = {
    {"an unknown key", spawn, {nmae = "x"}, "nmae"},
    {"an unknown key of compute", compute, {nmae = "x"}, "nmae"},
    {"a key that is no string", spawn, {"x"}, "1"},
    {"timeout, which is compute's", spawn, {timeout = 1}, "timeout"},
    {"args, which are spawn_file's", spawn, {args = {}}, "args"},
    {"args, which are spawn_file's, in compute", compute, {args = {}}, "args"},
    {"a wrong name", spawn, {name = {}}, "name"},
    {"a wrong paused", spawn, {paused = "no"}, "paused"},
    {"a wrong errors_are_fatal", spawn, {errors_are_fatal = "no"}, "errors_are_fatal"},
    {"a wrong on_exit", spawn, {on_exit = print}, "on_exit"},
    {"a wrong on_error", spawn, {on_error = true}, "on_error"},
    {"a wrong memory_limit", spawn, {memory_limit = "much"}, "memory_limit"},
    {"a wrong stack_size", spawn, {stack_size = "big"}, "stack_size"},
    {"a wrong path", spawn, {path = {}}, "path"},
    {"a wrong cpath", spawn, {cpath = true}, "cpath"},
    {"wrong libs", spawn, {libs = "io"}, "libs"},
    {"a library that does not exist", spawn, {libs = {"nosuch"}}, "nosuch"},
    {"a wrong grace", spawn, {grace = "long"}, "grace"},
    {"a wrong timeout", compute, {timeout = "soon"}, "timeout"},
    {"options that are no table", spawn, 5, "table"},
  }
  for _, row in ipairs(wrong) do
    it("are refused by name: " .. row[1], function()
      contains(complaint(row[2], row[3]), row[4])
    end)
  end
end)

describe("what goes along by itself", function()
  local path, cpath = package.path, package.cpath
  after_each(function() package.path, package.cpath = path, cpath end)

  it("is the spawner's path and cpath at that moment (pain 8)", function()
    local dir = helper.tempdir()
    helper.write(dir .. "/isolate_spec_later.lua", "return {answer = 42}")
    package.path = dir .. "/?.lua;" .. path
    package.cpath = dir .. "/?.so;" .. cpath
    local got = values(Isolate.run(function()
      return require "isolate_spec_later".answer, package.path:match "^[^;]+", package.cpath:match "^[^;]+"
    end))
    assert.are.same({n = 3, 42, dir .. "/?.lua", dir .. "/?.so"}, got)
  end)

  it("is a path whose relative entries were made absolute (pain 8)", function()
    local result = program([[
      package.path = "./?.far.lua;far/?/init.lua;" .. package.path
      package.cpath = "./?.far.so;far/?.so;" .. package.cpath
      local Isolate = require "isolate"
      local path, cpath, answer = Isolate.run(function()
        return package.path, package.cpath, require "isolate_spec".answer
      end):await(5)
      local pwd <close> = assert(io.popen "pwd -P")
      local here = pwd:read()
      for _, templates in ipairs {path, cpath} do
        local list = {}
        for template in (templates:gsub("/%./", "/")):gmatch "[^;]+" do
          if template:sub(1, 1) ~= "/" then print("relative", template) end
          list[#list + 1] = template
        end
        for i = 1, 2 do
          print(list[i]:sub(1, #here) == here and list[i]:sub(#here + 1) or list[i])
        end
      end
      print(answer)
    ]], {files = {["isolate_spec.far.lua"] = "return {answer = 42}"}})
    assert.are.equal("", result.stderr)
    assert.are.equal("/?.far.lua\n/far/?/init.lua\n/?.far.so\n/far/?.so\n42\n", result.stdout)
  end)

  it("is package.preload (pain 8)", function()
    package.preload.isolate_spec_virtual = function(name) return {name = name} end
    local future = Isolate.run(function() return require "isolate_spec_virtual".name end)
    package.preload.isolate_spec_virtual = nil
    assert.are.equal("isolate_spec_virtual", future:await(GUARD))
  end)

  it("is not what of package.preload cannot be sent", function()
    local co = coroutine.create(print)
    package.preload.isolate_spec_stuck = function() return co end
    local future = Isolate.run(function() return package.preload.isolate_spec_stuck end)
    package.preload.isolate_spec_stuck = nil
    assert.is_nil(future:await(GUARD))
  end)

  it("are the spawner's own searchers (pain 8)", function()
    table.insert(package.searchers, 2, function(name)
      if name:find "^isolate_spec_magic%." then
        return function(full, extra) return {full = full, extra = extra} end, "hat"
      end
    end)
    local future = Isolate.run(function()
      local module = require "isolate_spec_magic.rabbit"
      return module.full, module.extra
    end)
    table.remove(package.searchers, 2)
    assert.are.same({n = 2, "isolate_spec_magic.rabbit", "hat"}, values(future))
  end)

  it("goes along from isolate to isolate", function()
    package.preload.isolate_spec_virtual = function(name) return {name = name} end
    local future = Isolate.run(function()
      return Isolate.run(function() return require "isolate_spec_virtual".name end):await()
    end)
    package.preload.isolate_spec_virtual = nil
    assert.are.equal("isolate_spec_virtual", future:await(GUARD))
  end)
end)

describe("Isolate.exit", function()
  it("ends the isolate with a last message", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function(reply)
      reply:send "before"
      Isolate.exit(reply, {"last words"})
      reply:send "after"
    end, port.send_port, {on_exit = port.send_port})
    assert.are.same({n = 3, "before", {"last words"}}, take_all(port, 3))
  end)

  it("ends the isolate without a message", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(reply)
      Isolate.ReceivePort()
      Isolate.exit()
      reply:send "after"
    end, port.send_port)
    assert.is_true(iso:join(GUARD))
    assert.are.same({n = 2, nil, "timeout"}, table.pack(port:receive(0)))
  end)

  local catchers = {
    {"pcall", function(exit) pcall(exit) end},
    {"xpcall", function(exit) xpcall(exit, function() return "caught" end) end},
    {"pcall in pcall", function(exit) pcall(pcall, pcall, exit) end},
    {"a loop of pcalls", function(exit) while true do pcall(exit) end end},
    {"a coroutine", function(exit) coroutine.resume(coroutine.create(exit)) end},
    {"a wrapped coroutine in pcall", function(exit) pcall(coroutine.wrap(exit)) end},
    {"coroutines in coroutines", function(exit)
      local function nest(depth)
        if depth == 0 then exit() end
        coroutine.resume(coroutine.create(nest), depth - 1)
      end
      nest(20)
    end},
    {"table.sort", function(exit) pcall(table.sort, {3, 2, 1}, exit) end},
    {"string.gsub", function(exit) pcall(string.gsub, "x", "x", exit) end},
    {"a metamethod", function(exit)
      pcall(function() return setmetatable({}, {__index = exit}).x end)
    end},
    {"a module", function(exit)
      package.preload.isolate_spec_exit = exit
      pcall(require, "isolate_spec_exit")
    end},
    {"a handler of errors", function(exit) xpcall(error, exit) end},
    {"a __close handler", function(exit)
      pcall(function()
        local t <close> = setmetatable({}, {__close = exit})
        return t
      end)
    end},
    {"a Future's callback", function(exit)
      Isolate.Future.value():next(exit):catch(function() end):await()
    end},
    {"another task", function(exit)
      pcall(function() Isolate.async(function() Isolate.sleep(0.01) exit() end):await() end)
    end},
    {"a timer", function(exit)
      Isolate.Timer(0, function() pcall(exit) end)
      Isolate.sleep(1000)
    end},
  }
  for _, row in ipairs(catchers) do
    it("is not caught by " .. row[1], function()
      local port <close> = Isolate.ReceivePort()
      local catch = row[2]
      Isolate.spawn(function(reply)
        catch(function() Isolate.exit(reply, "last") end)
        reply:send "caught"
      end, port.send_port, {on_exit = port.send_port, on_error = port.send_port})
      assert.are.same({n = 2, "last"}, take_all(port, 2))
    end)
  end

  it("lets __close handlers run, before the last message", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function(reply)
      local outer <close> = setmetatable({}, {__close = function() reply:send "outer" end})
      pcall(function()
        local inner <close> = setmetatable({}, {__close = function() reply:send "inner" end})
        Isolate.exit(reply, "last")
        return inner
      end)
      return outer
    end, port.send_port, {on_exit = port.send_port, grace = 5})
    assert.are.same({n = 4, "inner", "outer", "last"}, take_all(port, 4))
  end)

  it("raises for a message that cannot be sent, and the isolate goes on", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function(reply)
      local ok, err = pcall(Isolate.exit, reply, {coroutine.create(print)})
      reply:send {ok, tostring(err)}
      reply:send "goes on"
    end, port.send_port, {on_exit = port.send_port})
    local got = take_all(port, 3)
    assert.is_false(got[1][1])
    contains(got[1][2], "cannot send message[1]: a coroutine stays in its isolate")
    assert.are.equal("goes on", got[2])
    assert.is_nil(got[3])
  end)

  it("raises in the main isolate", function()
    contains(complaint(Isolate.exit), "main isolate")
    local port <close> = Isolate.ReceivePort()
    contains(complaint(Isolate.exit, port.send_port, "last"), "main isolate")
    assert.are.same({n = 2, nil, "timeout"}, table.pack(port:receive(0)))
  end)

  it("leaves a run without result", function()
    local err = failure(Isolate.run(function() Isolate.exit() end))
    assert.is_true(getmetatable(err) == Isolate.RemoteError)
    assert.are.equal("computation ended without result", err.message)
  end)

  it("leaves a compute without result, and its name", function()
    local err = failure(Isolate.compute(function() Isolate.exit() end, nil, {name = "quitter"}))
    assert.are.equal("computation ended without result", err.message)
    assert.are.equal("quitter", err.isolate)
  end)
end)

describe("os.exit in an isolate", function()
  for _, call in ipairs {
    "os.exit()", "os.exit(3)", "os.exit(false)", "os.exit(true, true)", "pcall(os.exit, 3)",
    "coroutine.wrap(os.exit)(3)",
  } do
    it("ends that isolate only (pain 24): " .. call, function()
      local result = program(([[
        local Isolate = require "isolate"
        local port = Isolate.ReceivePort()
        local iso = Isolate.spawn(function(reply)
          local t <close> = setmetatable({}, {__close = function() reply:send "closed" end})
          %s
          reply:send "after"
        end, port.send_port, {on_exit = port.send_port})
        print(port:receive(5))
        print(port:receive(5))
        local future = Isolate.run(function() %s return "after" end)
        local ok, err = pcall(future.await, future, 5)
        print(ok, err.message)
      ]]):format(call, call))
      assert.are.equal("closed\nnil\nfalse\tcomputation ended without result\n", result.stdout)
      assert.are.equal("", result.stderr)
      assert.are.equal(0, result.status)
    end)
  end
end)

describe("a handle", function()
  -- Spawns an echo; returns its handle, a port that hears it, and its inbox.
  local function spawn_echo()
    local port = Isolate.ReceivePort()
    local iso = Isolate.spawn(echo, port.send_port, {name = "echo"})
    return iso, port, take(port)
  end

  it("has a name, a control port and two capabilities", function()
    local iso, port, inbox = spawn_echo()
    assert.are.equal("echo", iso.name)
    assert.are.equal(getmetatable(port.send_port), getmetatable(iso.control_port))
    assert.is_truthy(iso.pause_capability)
    assert.is_truthy(iso.terminate_capability)
    assert.is_false(iso.pause_capability == iso.terminate_capability)
    inbox:send "end"
    port:close()
  end)

  it("equals itself wherever it travelled, also as a key", function()
    local iso, port, inbox = spawn_echo()
    inbox:send {handle = iso, [iso] = "mine"}
    local back = take(port)
    assert.is_true(back.handle == iso)
    assert.are.equal("mine", back[iso])
    assert.are.equal("mine", ({[iso] = "mine"})[back.handle])
    assert.are.equal("echo", back.handle.name)
    assert.is_true(back.handle.terminate_capability == iso.terminate_capability)
    inbox:send "end"
    port:close()
  end)

  it("differs from the handle of another isolate", function()
    local a, b = Isolate.spawn(function() end), Isolate.spawn(function() end)
    assert.is_false(a == b)
    assert.is_nil(({[a] = true})[b])
  end)

  it("joins true once the isolate has ended, as often as asked", function()
    local iso, port, inbox = spawn_echo()
    assert.are.same({n = 2, nil, "timeout"}, table.pack(iso:join(0)))
    assert.are.same({n = 2, nil, "timeout"}, table.pack(iso:join(0.02)))
    inbox:send "end"
    assert.are.same({n = 1, true}, table.pack(iso:join(GUARD)))
    assert.are.same({n = 1, true}, table.pack(iso:join(0)))
    assert.are.same({n = 1, true}, table.pack(iso:join()))
    port:close()
  end)

  it("is joined from several isolates at once", function()
    local iso, port, inbox = spawn_echo()
    local futures = {}
    for i = 1, 3 do futures[i] = Isolate.run(function() return iso:join(10) end) end
    Isolate.sleep(0.02)
    inbox:send "end"
    for _, future in ipairs(futures) do assert.is_true(future:await(GUARD)) end
    assert.is_true(Isolate.run(function() return iso:join(10) end):await(GUARD))
    port:close()
  end)

  it("joins in a task while the others go on", function()
    local iso, port, inbox = spawn_echo()
    local said = {}
    local joining = Isolate.async(function()
      said[#said + 1] = "joins"
      local ended = iso:join(GUARD)
      said[#said + 1] = tostring(ended)
    end)
    said[#said + 1] = "goes on"
    inbox:send "end"
    joining:await(GUARD)
    assert.are.same({"joins", "goes on", "true"}, said)
    port:close()
  end)

  it("kills from another isolate", function()
    local iso, port = spawn_echo()
    local function kill(victim)
      victim:kill(Isolate.immediate)
      return victim:join(10)
    end
    assert.is_true(Isolate.run(kill, iso):await(GUARD))
    assert.is_true(iso:join(GUARD))
    port:close()
  end)

  it("takes a second kill, and a kill after the end", function()
    local iso, port = spawn_echo()
    iso:kill()
    iso:kill(Isolate.immediate)
    assert.is_true(iso:join(GUARD))
    iso:kill(Isolate.immediate)
    iso:kill()
    assert.is_true(iso:join(0))
    port:close()
  end)

  it("of a main isolate cannot kill it", function()
    Isolate.current:kill(Isolate.immediate)
    local main = Isolate.current
    assert.is_true(Isolate.run(function()
      main:kill(Isolate.immediate)
      main:kill()
      return true
    end):await(GUARD))
    Isolate.sleep(0.02)
    assert.are.equal(42, Isolate.run(function() return 42 end):await(GUARD))
  end)

  for _, name in ipairs {"run", "exit", "sleep"} do
    it("has no " .. name .. " and says what was meant", function()
      local iso = Isolate.spawn(function() end)
      contains(complaint(function() iso[name](iso, print) end), "Isolate." .. name)
      assert.is_true(iso:join(GUARD))
    end)
  end

  it("made from a control port alone may not kill or pause", function()
    local iso, port, inbox = spawn_echo()
    local weak = Isolate.handle(iso.control_port)
    weak:kill(Isolate.immediate)
    weak:kill()
    weak:pause()
    inbox:send "still here"
    assert.are.equal("still here", take(port))
    assert.are.same({n = 2, nil, "timeout"}, table.pack(weak:join(0.02)))
    inbox:send "end"
    assert.is_true(weak:join(GUARD))
    port:close()
  end)

  it("made with a wrong capability may not kill or pause", function()
    local iso, port, inbox = spawn_echo()
    local forged = {terminate_capability = Isolate.Capability(), pause_capability = Isolate.Capability()}
    Isolate.handle(iso.control_port, forged):kill(Isolate.immediate)
    Isolate.handle(iso.control_port, forged):pause()
    Isolate.handle(iso.control_port, {terminate_capability = iso.pause_capability}):kill(Isolate.immediate)
    inbox:send "still here"
    assert.are.equal("still here", take(port))
    inbox:send "end"
    assert.is_true(iso:join(GUARD))
    port:close()
  end)

  it("made with the right capability may kill, from anywhere", function()
    local iso, port = spawn_echo()
    local strong = Isolate.handle(iso.control_port, {terminate_capability = iso.terminate_capability})
    Isolate.run(function() strong:kill(Isolate.immediate) end):await(GUARD)
    assert.is_true(iso:join(GUARD))
    port:close()
  end)

  it("that was restricted stays so when it travels", function()
    local iso, port, inbox = spawn_echo()
    local weak = Isolate.handle(iso.control_port)
    local lacks = Isolate.run(function()
      weak:kill(Isolate.immediate)
      return weak.terminate_capability == nil and weak.pause_capability == nil
    end):await(GUARD)
    assert.is_true(lacks)
    inbox:send "still here"
    assert.are.equal("still here", take(port))
    inbox:send "end"
    assert.is_true(iso:join(GUARD))
    port:close()
  end)
end)

describe("an isolate of its own", function()
  it("has random numbers of its own (pain 21)", function()
    local seen, futures = {}, {}
    for i = 1, 6 do futures[i] = Isolate.run(function() return math.random(0) end) end
    for i = 1, 6 do
      local number = futures[i]:await(GUARD)
      assert.is_nil(seen[number])
      seen[number] = true
    end
    for _ = 1, 6 do -- one after the other: states at the same address
      local number = Isolate.run(function() return math.random(0) end):await(GUARD)
      assert.is_nil(seen[number])
      seen[number] = true
    end
  end)

  it("has globals of its own", function()
    local function set(value) rawset(_G, "isolate_spec_global", value) return rawget(_G, "isolate_spec_global") end
    assert.are.equal(5, Isolate.run(set, 5):await(GUARD))
    assert.is_nil(rawget(_G, "isolate_spec_global"))
    assert.is_nil(Isolate.run(function() return rawget(_G, "isolate_spec_global") end):await(GUARD))
  end)

  -- They were looked up in the program's tables when a field was first used.
  it("keeps its library where a program takes functions out of Lua's", function()
    local result = program [[
      local Isolate = require "isolate"
      string.find, string.match = nil, nil
      print(Isolate.processors() >= 1, Isolate.RawReceivePort ~= nil, Isolate.Completer ~= nil)
    ]]
    assert.are.equal("", result.stderr)
    assert.are.equal("true\ttrue\ttrue\n", result.stdout)
  end)

  it("prints whole lines, however long, and loses none", function()
    local result = program(INTERPRETER .. [[
      local pipe = assert(io.popen(lua .. " printers.lua"))
      local next_number, whole, broken = {}, 0, 0
      for line in pipe:lines() do
        local long, number, letter = line:match "^(%l+)\t(%d+)\tnil\t(%l)$"
        if long == (letter or ""):rep(9000) and tonumber(number) == (next_number[letter] or 1) then
          whole = whole + 1
          next_number[letter] = number + 1
        else
          broken = broken + 1
        end
      end
      print(whole, broken, pipe:close())
    ]], {files = {["printers.lua"] = [[
      local Isolate = require "isolate"
      local runs = {}
      for i = 1, 8 do
        runs[i] = Isolate.run(function(letter)
          for n = 1, 60 do print(letter:rep(9000), n, nil, letter) end
        end, string.char(96 + i))
      end
      for i = 1, 8 do runs[i]:await() end
    ]]}})
    assert.are.equal("480\t0\ttrue\texit\t0\n", result.stdout)
    assert.are.equal("", result.stderr)
  end)

  it("prints through __tostring and __name as Lua's print does", function()
    local result = program [[
      local Isolate = require "isolate"
      local show = function()
        print()
        print(1, 2.0, nil, true, "a\0b")
        print(setmetatable({}, {__tostring = function() return "me" end}))
        print((tostring(setmetatable({}, {__name = "Thing"})):gsub("0x%x+", "")))
        print(pcall(print, setmetatable({}, {__tostring = function() return 1 end})))
      end
      show()
      io.flush()
      Isolate.run(show):await()
    ]]
    local half = #result.stdout // 2
    assert.is_true(half > 0)
    assert.are.equal(result.stdout:sub(1, half), result.stdout:sub(half + 1))
  end)

  it("has a working io.write, and reads what its spawner left of stdin", function()
    local result = program([[
      local Isolate = require "isolate"
      print(Isolate.run(function()
        io.write("written\n")
        io.flush()
        return io.read "l"
      end):await())
    ]], {stdin = "first\nsecond\n"})
    assert.are.equal("written\nfirst\n", result.stdout)
  end)

  it("blocks Ctrl-C in its thread, and not in the children it starts (pain 20)", function()
    local out = helper.tempdir() .. "/mask"
    local here <close> = assert(io.popen "grep SigBlk /proc/self/status")
    local mask = here:read "a"
    local before, popened, executed, after = Isolate.run(function()
      local function own() return tonumber(contents("/proc/thread-self/status"):match "SigBlk:%s*(%x+)", 16) end
      local first = own()
      local pipe = io.popen "grep SigBlk /proc/self/status"
      local text = pipe:read "a"
      pipe:close()
      os.execute("grep SigBlk /proc/self/status >" .. out)
      return first, text, contents(out), own()
    end):await(GUARD)
    assert.is_truthy(mask:find "SigBlk")
    assert.are.equal(mask, popened)
    assert.are.equal(mask, executed)
    assert.are_not.equal(0, before & 2) -- SIGINT is signal 2, bit 1
    assert.are.equal(before, after)
  end)

  -- Lua's own io.popen flushes all files of the process, and waits there for
  -- the lock of one that another thread reads, holding the lock of them all.
  it("starts commands and opens files while another waits in a read", function()
    local result = program [[
      local Isolate = require "isolate"
      os.execute "mkfifo never"
      local port = Isolate.ReceivePort()
      Isolate.spawn(function(ready)
        local file = io.open("never", "r+")
        ready:send "reads"
        file:read()
      end, port.send_port)
      port:receive(5)
      Isolate.sleep(0.05)
      print(Isolate.run(function()
        local pipe = io.popen "echo popened"
        local said = pipe:read()
        pipe:close()
        os.execute "echo executed >file"
        local file <close> = io.open "file"
        return said, file:read()
      end):await(5))
    ]]
    assert.are.equal("popened\texecuted\n", result.stdout)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
  end)

  it("has io.popen and os.execute that answer as Lua's do", function()
    local got = values(Isolate.run(function()
      io.open "/no/such/file"  -- what errno was before is not what a command says
      local pipe = io.popen "exit 3"
      local closed = table.pack(pipe:close())
      local writer = io.popen("exit 4", "w")
      local wrote = table.pack(writer:close())
      return closed, wrote, table.pack(os.execute "exit 5"), table.pack(os.execute()), io.type(writer)
    end))
    assert.are.same({nil, "exit", 4, n = 3}, got[2])
    assert.are.same({nil, "exit", 5, n = 3}, got[3])
    assert.are.same({true, n = 1}, got[4])
    assert.are.equal("closed file", got[5])
    assert.are.same({nil, "exit", 3, n = 3}, got[1])
  end)
end)
