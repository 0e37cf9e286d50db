-- Starting and ending isolates, and what a handle can do: spawn, exit, kill,
-- pause, ping, listeners, errors(). Ids are those of Dart's behaviour (A9-A15;
-- 2.1: static members; 2.2: instance members).

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local turns  = require "spec.support.turns"

local pump, new_log, failure, keep = turns.pump, turns.new_log, turns.failure, alone.keep
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

local new_port = alone.new_port

-- An isolate that sends back what it gets, calls it if it is a function, and
-- ends at "bye". Returns its handle, its port, and the port its answers come to.
local function echo(opts)
  local port = new_port()
  local iso = Isolate.spawn(function(answers)
    local inbox = Isolate.ReceivePort()
    answers:send(inbox.send_port)
    inbox:listen(function(message)
      if message == "bye" then
        inbox:close()
      elseif type(message) == "function" then
        message(answers)
      else
        answers:send(message)
      end
    end)
  end, port.send_port, opts)
  local inbox = not (opts and opts.paused) and port:receive(GUARD)
  keep { close = function() iso:kill(Isolate.immediate) end }
  return iso, inbox, port
end

-- What comes to the port until 'last' came.
local function until_last(port, last)
  local got = {}
  repeat got[#got + 1] = port:receive(GUARD) until got[#got] == last
  return got
end

-- Has it handled the control messages that were sent to it?
local function settled(iso)
  local port <close> = Isolate.ReceivePort()
  iso:ping(port.send_port, true)
  return port:receive(GUARD)
end

describe("A9: Isolate.spawn", function()
  it("calls the function with the message, which is all that it knows", function()
    local port = new_port()
    known_here = "here"                                 -- luacheck: ignore
    Isolate.spawn(function(message)
      message.to:send { message.text, rawget(_G, "known_here") }
    end, { to = port.send_port, text = "start" })
    known_here = nil                                    -- luacheck: ignore
    assert.same({ "start" }, port:receive(GUARD))
  end)

  it("A10: takes a closure, which may wait", function()
    local port, word = new_port(), "ready"
    Isolate.spawn(function(to)
      to:send(word)
      Isolate.sleep(0.001)
      to:send "work"
    end, port.send_port)
    assert.equal("ready", port:receive(GUARD))
    assert.equal("work", port:receive(GUARD))
  end)

  it("A11: takes a method: the receiver is copied with the closure", function()
    local Class = {}
    Class.__index = Class
    function Class.start(self, to)
      Isolate.spawn(function(reply) reply:send(self:describe()) end, to)
    end
    function Class:describe() return self.data end
    local object, port = setmetatable({ data = "hello" }, Class), new_port()
    object:start(port.send_port)
    object.data = "world"
    assert.equal("hello", port:receive(GUARD))
  end)

  it("A12: is not waited for: several run at once", function()
    local port = new_port()
    for i = 1, 3 do Isolate.spawn(function(to) to:send(i) end, port.send_port) end
    local sum = 0
    for _ = 1, 3 do sum = sum + port:receive(GUARD) end
    assert.equal(6, sum)
  end)

  it("A13: raises at the call when it cannot start, and leaves nothing", function()
    local ok, e = pcall(Isolate.spawn, function() end, nil, { stack_size = 2 ^ 61 })
    assert.is_false(ok)
    assert.equal(Isolate.IsolateSpawnError, getmetatable(e))
    assert.truthy(tostring(e):find("^IsolateSpawnError: "))
    assert.is_false(pcall(Isolate.spawn, function() end, { io.stdout }))
    assert.equal(1, #Isolate.list())
  end)

  it("2.1: copies function and message before it returns", function()
    local port, list, n = new_port(), { 1 }, 1
    Isolate.spawn(function(message) message.to:send { message.list[1], n } end,
      { to = port.send_port, list = list })
    list[1], n = 2, 2
    assert.same({ 1, 1 }, port:receive(GUARD))
    assert.equal(2, n)
  end)

  it("2.1: calls the function as the first event, before what was sent meanwhile", function()
    local port = new_port()
    local iso = Isolate.spawn(function(to)
      Isolate.current:ping(to, "ping of its own")
      to:send "function"
    end, port.send_port, { paused = true })
    iso:ping(port.send_port, "paused")
    iso:resume(iso.pause_capability)
    assert.equal("paused", port:receive(GUARD))
    assert.equal("function", port:receive(GUARD))
    assert.equal("ping of its own", port:receive(GUARD))
  end)

  it("2.1: paused: listeners attached meanwhile miss nothing", function()
    local port = new_port()
    local iso = Isolate.spawn(function() error("at once", 0) end, nil, { paused = true })
    iso:add_error_listener(port.send_port)
    iso:add_on_exit_listener(port.send_port, "ended")
    iso:set_errors_fatal(false)
    iso:resume(iso.pause_capability)
    assert.equal("at once", port:receive(GUARD)[1])
    assert.equal("ended", port:receive(GUARD))
  end)

  it("2.1: paused: is killed without having run", function()
    local port = new_port()
    local iso = Isolate.spawn(function(to) to:send "ran" end, port.send_port,
      { paused = true, on_exit = port.send_port })
    iso:kill()
    assert.same(table.pack(nil), table.pack(port:receive(GUARD)))
    assert.is_true(iso:join(GUARD))
  end)

  it("2.1: on_exit, on_error, errors_are_fatal hold from the first instruction", function()
    local port = new_port()
    Isolate.spawn(function() error("first instruction", 0) end, nil,
      { on_error = port.send_port, on_exit = port.send_port })
    assert.equal("first instruction", port:receive(GUARD)[1])
    assert.same(table.pack(nil), table.pack(port:receive(GUARD)))
    local iso = Isolate.spawn(function(to)
      Isolate.Timer(0, function() to:send "went on" end)
      error("not the end", 0)
    end, port.send_port, { on_error = port.send_port, errors_are_fatal = false })
    assert.equal("not the end", port:receive(GUARD)[1])
    assert.equal("went on", port:receive(GUARD))
    assert.is_true(iso:join(GUARD))
  end)

  it("2.1: name is not unique, and is that of the handle", function()
    local one, other = echo { name = "twin" }, echo { name = "twin" }
    assert.equal("twin", one.name)
    assert.equal("twin", other.name)
    assert.is_false(one == other)
    assert.equal("isolate.Handle: twin", tostring(one))
  end)

  it("2.1: spawn_file runs a file with a message and arguments", function()
    local path = helper.tempdir() .. "/job.lua"
    helper.write(path, [[
      local message = ...
      message.to:send { #arg, arg[1], arg[2], message.n, require("isolate").current.name }]])
    local port = new_port()
    local iso = Isolate.spawn_file(path, { to = port.send_port, n = 1 },
      { args = { "a", "b" }, name = "the job", on_exit = port.send_port })
    assert.equal("the job", iso.name)
    assert.same({ 2, "a", "b", 1, "the job" }, port:receive(GUARD))
    assert.is_nil((port:receive(GUARD)))
  end)

  it("2.1: spawn_file has no arg without args, and takes objects, unlike spawnUri", function()
    local path = helper.tempdir() .. "/job.lua"
    helper.write(path, "local m = ... m.to:send { arg == nil, m.point:norm(), m.f(1) }")
    local port, geometry = new_port(), require "spec.fixtures.geometry"
    Isolate.spawn_file(path, { to = port.send_port, point = geometry.Point.new(3, 4),
      f = function(n) return n + 1 end }, { paused = false })
    assert.same({ true, 5.0, 2 }, port:receive(GUARD))
  end)

  it("2.1: children start with the module paths of their spawner (resolvePackageUri)", function()
    local path, cpath = Isolate.run(function() return package.path, package.cpath end):await(GUARD)
    assert.is_string(path)
    assert.is_string(cpath)
    assert.equal("from here", Isolate.compute(function() return package.path end, nil,
      { path = "from here;" .. package.path }):await(GUARD):match "^[^;]+")
  end)
end)

describe("A14, 2.1: Isolate.exit", function()
  it("ends the isolate with a last message; nothing after it runs", function()
    local port = new_port()
    Isolate.spawn(function(to)
      Isolate.Timer(0, function() to:send "timer" end)
      Isolate.current:add_on_exit_listener(to, "exit")
      pcall(function()
        Isolate.exit(to, { "last" })
      end)
      to:send "after"
    end, port.send_port)
    assert.same({ "last" }, port:receive(GUARD))
    assert.equal("exit", port:receive(GUARD))
    assert.same({ nil, "timeout" }, { port:receive(0.01) })
  end)

  it("throws for what cannot be sent, and the isolate continues", function()
    local port = new_port()
    Isolate.spawn(function(to)
      local ok, why = pcall(Isolate.exit, to, { f = io.stdout })
      to:send { ok, why:match "cannot send.*" }
    end, port.send_port)
    assert.same({ false, "cannot send message.f: an open file stays in its isolate" },
      port:receive(GUARD))
  end)

  it("needs neither port nor message", function()
    local port = new_port()
    local iso = Isolate.spawn(function() Isolate.exit() end, nil, { on_exit = port.send_port })
    assert.is_nil((port:receive(GUARD)))
    assert.is_true(iso:join(GUARD))
  end)

  it("is refused in the main isolate", function()
    assert.truthy(failure(Isolate.exit):find(
      "Isolate.exit: this is a main isolate; it ends with its program", 1, true))
  end)
end)

describe("E1, 2.1: Isolate.current", function()
  it("equals what the spawner got, with all capabilities", function()
    local iso, inbox, port = echo()
    inbox:send(function(to) to:send(Isolate.current) end)
    local current = port:receive(GUARD)
    assert.is_true(iso == current)
    assert.equal(iso.control_port, current.control_port)
    assert.equal(iso.pause_capability, current.pause_capability)
    assert.equal(iso.terminate_capability, current.terminate_capability)
    assert.equal(iso.name, current.name)
  end)

  it("is the main isolate's here", function()
    assert.equal("main", Isolate.current.name)
    assert.is_true(Isolate.is_main)
  end)
end)

describe("2.1: Isolate.handle", function()
  it("without capabilities may observe, and nothing else", function()
    local iso, inbox, port = echo()
    local observer = Isolate.handle(iso.control_port)
    assert.is_nil(observer.pause_capability)
    assert.is_nil(observer.terminate_capability)
    observer:pause()
    observer:kill(Isolate.immediate)
    observer:set_errors_fatal(false)
    observer:ping(port.send_port, "alive")
    assert.equal("alive", port:receive(GUARD))
    inbox:send "runs"
    assert.equal("runs", port:receive(GUARD))
    observer:add_error_listener(port.send_port)
    observer:add_on_exit_listener(port.send_port, "ended")
    settled(iso)
    inbox:send(function() error("fatal still", 0) end)
    assert.equal("fatal still", port:receive(GUARD)[1])
    assert.equal("ended", port:receive(GUARD))
    assert.is_true(observer:join(GUARD))
  end)

  it("with the pause capability may pause, and not kill", function()
    local iso, inbox, port = echo()
    local pauser = Isolate.handle(iso.control_port, { pause_capability = iso.pause_capability })
    local capability = pauser:pause()
    pauser:kill()
    inbox:send "later"
    pauser:ping(port.send_port, "paused")
    assert.equal("paused", port:receive(GUARD))
    pauser:resume(capability)
    assert.equal("later", port:receive(GUARD))
  end)

  it("with the terminate capability may kill, and not pause", function()
    local iso, inbox, port = echo()
    local killer = Isolate.handle(iso.control_port,
      { terminate_capability = iso.terminate_capability })
    killer:pause()
    inbox:send "not paused"
    assert.equal("not paused", port:receive(GUARD))
    killer:kill()
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("2.2: pause and resume", function()
  it("let messages and due timers wait, and go on in order", function()
    local iso, inbox, port = echo()
    local capability = iso:pause()
    settled(iso)
    for i = 1, 3 do inbox:send(i) end
    iso:ping(port.send_port, "paused")
    assert.equal("paused", port:receive(GUARD))
    iso:resume(capability)
    for i = 1, 3 do assert.equal(i, port:receive(GUARD)) end
  end)

  it("finish the event that runs", function()
    local iso, inbox, port = echo()
    inbox:send(function(to)
      Isolate.current:pause()
      to:send "this event goes on"
    end)
    inbox:send "the next does not"
    assert.equal("this event goes on", port:receive(GUARD))
    iso:ping(port.send_port, "pong")
    assert.equal("pong", port:receive(GUARD))
    iso:kill()
    assert.is_true(iso:join(GUARD))
  end)

  it("take the same capability once, and each other one by itself", function()
    local iso, inbox, port = echo()
    local one, two = Isolate.Capability(), Isolate.Capability()
    iso:pause(one)
    iso:pause(one)
    iso:pause(two)
    iso:resume(one)
    iso:resume(one)                                     -- used up: no effect
    iso:resume(Isolate.Capability())                    -- unknown: no effect
    inbox:send "now"
    iso:ping(port.send_port, "held by two")
    assert.equal("held by two", port:receive(GUARD))
    iso:resume(two)
    assert.equal("now", port:receive(GUARD))
  end)

  it("work from any isolate that has the handle and the capability", function()
    local iso, inbox, port = echo()
    local capability = Isolate.run(function() return iso:pause() end):await(GUARD)
    inbox:send "held"
    iso:ping(port.send_port, "pong")
    assert.equal("pong", port:receive(GUARD))
    Isolate.run(function() iso:resume(capability) end):await(GUARD)
    assert.equal("held", port:receive(GUARD))
  end)

  -- Timers that were due in the turn of the event that paused fired all the same.
  it("hold timers that are due, too", function()
    local iso, inbox, port = echo()
    inbox:send(function(to)
      Isolate.current:pause()
      Isolate.Timer(0, function() to:send "timer" end)
      to:send "set"
    end)
    assert.equal("set", port:receive(GUARD))
    Isolate.sleep(0.01)
    iso:ping(port.send_port, "pong")
    assert.equal("pong", port:receive(GUARD))
    iso:kill()
    assert.is_true(iso:join(GUARD))
    assert.same({ nil, "timeout" }, { port:receive(0) })
  end)

  it("say nothing of isolates that have ended", function()
    local iso, inbox = echo()
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    iso:resume(iso:pause())
  end)
end)

describe("A15, 2.2: kill", function()
  it("immediate ends running code #signal", function()
    local iso, inbox, port = echo()
    iso:add_error_listener(port.send_port)
    iso:add_on_exit_listener(port.send_port, "ended")
    inbox:send(function(to)
      to:send "spinning"
      while true do pcall(function() while true do end end) end
    end)
    assert.equal("spinning", port:receive(GUARD))
    iso:kill(Isolate.immediate)
    assert.equal("ended", port:receive(GUARD))          -- and no error: a kill is none
    assert.is_true(iso:join(GUARD))
  end)

  it("before_next_event lets the event end, and comes before queued messages", function()
    local iso, inbox, port = echo()
    local capability = iso:pause()
    inbox:send(function(to)
      Isolate.current:kill()                            -- the default priority
      to:send "event ended"
    end)
    inbox:send "queued"
    iso:resume(capability)
    assert.equal("event ended", port:receive(GUARD))
    assert.is_true(iso:join(GUARD))
    assert.same({ nil, "timeout" }, { port:receive(0) })
  end)

  it("immediate comes after the control messages sent before it", function()
    local iso, _, port = echo()
    iso:add_on_exit_listener(port.send_port, "listened")
    iso:kill(Isolate.immediate)
    assert.equal("listened", port:receive(GUARD))
  end)

  it("works while it is paused", function()
    for _, priority in ipairs { Isolate.immediate, Isolate.before_next_event } do
      local iso = echo()
      iso:pause()
      settled(iso)
      iso:kill(priority)
      assert.is_true(iso:join(GUARD))
    end
  end)

  it("of a dead isolate has no effect", function()
    local iso, inbox = echo()
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    iso:kill()
    iso:kill(Isolate.immediate)
  end)

  it("has Dart's priorities", function()
    assert.equal(0, Isolate.immediate)
    assert.equal(1, Isolate.before_next_event)
    local iso = echo()
    assert.truthy(failure(iso.kill, iso, "now"):find(
      "bad argument #1 to 'kill' (Isolate.immediate or Isolate.before_next_event expected, got now)", 1, true))
  end)

  it("works from a third isolate, by a handle that was sent", function()
    local iso = echo()
    Isolate.run(function() iso:kill(Isolate.immediate) end):await(GUARD)
    assert.is_true(iso:join(GUARD))
  end)

  it("by itself ends it, too", function()
    local iso, inbox, port = echo()
    iso:add_on_exit_listener(port.send_port, "ended")
    inbox:send(function(to)
      Isolate.current:kill(Isolate.immediate)
      to:send "not reached"
    end)
    assert.equal("ended", port:receive(GUARD))
  end)
end)

describe("2.2: ping", function()
  it("sends nil, or any response; a dead isolate never answers", function()
    local iso, inbox, port = echo()
    iso:ping(port.send_port)
    assert.same(table.pack(nil), table.pack(port:receive(GUARD)))
    iso:ping(port.send_port, { "any", { "value" } })
    assert.same({ "any", { "value" } }, port:receive(GUARD))
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    iso:ping(port.send_port, "?")
    assert.same({ nil, "timeout" }, { port:receive(0.01) })
  end)

  -- The SDK's ping_test: data arrives as sent; "alive" comes before the echo of 2,
  -- "control" before the echo of 1.
  it("2.3: overtakes normal messages, in the order of ping_test", function()
    local iso, inbox, port = echo()
    inbox:send(3)
    iso:ping(port.send_port, "alive", Isolate.immediate)
    inbox:send(2)
    iso:ping(port.send_port, "control", Isolate.before_next_event)
    inbox:send(1)
    inbox:send(0)
    local got, at, data = until_last(port, 0), {}, {}
    for i, v in ipairs(got) do
      at[v] = i
      if type(v) == "number" then data[#data + 1] = v end
    end
    assert.same({ 3, 2, 1, 0 }, data)
    assert.is_true(at.alive < at[2])
    assert.is_true(at.control < at[1])
    assert.is_true(at.alive < at.control)
  end)

  it("comes from within a task that waits", function()
    local iso, inbox, port = echo()
    inbox:send(function(to)
      to:send "waiting"
      Isolate.ReceivePort():receive()
    end)
    assert.equal("waiting", port:receive(GUARD))
    iso:ping(port.send_port, "pong")
    assert.equal("pong", port:receive(GUARD))
  end)

  -- A control message to itself was the last thing an isolate had: its loop waited for
  -- ever for a normal one behind it.
  it("does not keep alive the isolate that pings itself last", function()
    local port = new_port()
    local iso = Isolate.spawn(function(to) Isolate.current:ping(to, "last") end, port.send_port)
    assert.equal("last", port:receive(GUARD))
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("2.2: on-exit listeners", function()
  local endings = {
    { "natural end", function(inbox) inbox:send "bye" end },
    { "error", function(inbox) inbox:send(function() error("x", 0) end) end },
    { "exit", function(inbox) inbox:send(function() Isolate.exit() end) end },
    { "kill", function(_, iso) iso:kill(Isolate.immediate) end },
  }
  for _, row in ipairs(endings) do
    it("hear of every end: " .. row[1], function()
      local iso, inbox, port = echo()
      iso:add_error_listener(port.send_port)
      iso:add_on_exit_listener(port.send_port, { "the response" })
      settled(iso)
      row[2](inbox, iso)
      local got = port:receive(GUARD)
      if row[1] == "error" then
        assert.equal("x", got[1])
        got = port:receive(GUARD)
      end
      assert.same({ "the response" }, got)
    end)
  end

  it("of one port hear once: the last response wins, each port by itself", function()
    local iso, inbox, port = echo()
    local other = new_port()
    iso:add_on_exit_listener(port.send_port, "first")
    iso:add_on_exit_listener(other.send_port, "other")
    iso:add_on_exit_listener(port.send_port, "last")
    inbox:send "bye"
    assert.equal("last", port:receive(GUARD))
    assert.equal("other", other:receive(GUARD))
    assert.is_true(iso:join(GUARD))
    assert.same({ nil, "timeout" }, { port:receive(0.01) })
  end)

  it("are removed by one call, however often they were added", function()
    local iso, inbox, port = echo()
    iso:add_on_exit_listener(port.send_port, 1)
    iso:add_on_exit_listener(port.send_port, 2)
    iso:remove_on_exit_listener(port.send_port)
    iso:remove_on_exit_listener(port.send_port)         -- unknown: ignored
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    assert.same({ nil, "timeout" }, { port:receive(0.01) })
  end)

  it("of an isolate that is dead already hear nothing", function()
    local iso, inbox, port = echo()
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    iso:add_on_exit_listener(port.send_port, "late")
    assert.same({ nil, "timeout" }, { port:receive(0.01) })
  end)

  it("hear last of all: after messages, and after errors", function()
    local iso, inbox, port = echo()
    iso:add_on_exit_listener(port.send_port, "exit")
    iso:add_error_listener(port.send_port)
    inbox:send(function(to)
      for i = 1, 5 do to:send(i) end
      error("e", 0)
    end)
    local got = until_last(port, "exit")
    assert.same({ 1, 2, 3, 4, 5 }, { table.unpack(got, 1, 5) })
    assert.equal("e", got[6][1])
    assert.equal(7, #got)
  end)

  it("refuse a response that cannot be sent", function()
    local iso, _, port = echo()
    assert.truthy(failure(iso.add_on_exit_listener, iso, port.send_port, io.stdout):find(
      "cannot send response: an open file stays in its isolate", 1, true))
  end)

  it("may be attached by any isolate", function()
    local iso, inbox, port = echo()
    local to = port.send_port
    Isolate.run(function() iso:add_on_exit_listener(to, "attached there") end):await(GUARD)
    inbox:send "bye"
    assert.equal("attached there", port:receive(GUARD))
  end)
end)

describe("2.2: error listeners", function()
  it("get exactly two strings", function()
    local iso, inbox, port = echo()
    iso:add_error_listener(port.send_port)
    inbox:send(function() error(setmetatable({}, { __tostring = function() return "described" end })) end)
    local got = port:receive(GUARD)
    assert.equal("described", got[1])
    assert.is_string(got[2])
    assert.truthy(got[2]:find("control_spec.lua", 1, true))
    assert.equal(2, #got)
  end)

  it("of one port hear each error once, though it was added twice", function()
    local iso, inbox, port = echo { errors_are_fatal = false }
    iso:add_error_listener(port.send_port)
    iso:add_error_listener(port.send_port)
    settled(iso)
    inbox:send(function() error("one", 0) end)
    inbox:send(function() error("two", 0) end)
    inbox:send "then"
    assert.equal("one", port:receive(GUARD)[1])
    assert.equal("two", port:receive(GUARD)[1])
    assert.equal("then", port:receive(GUARD))
  end)

  it("are removed; what is unknown is ignored", function()
    local iso, inbox, port = echo { errors_are_fatal = false }
    local other = new_port()
    iso:add_error_listener(port.send_port)
    iso:add_error_listener(other.send_port)
    iso:remove_error_listener(port.send_port)
    iso:remove_error_listener(port.send_port)
    inbox:send(function() error("unheard", 0) end)
    inbox:send "then"
    assert.equal("then", port:receive(GUARD))
    assert.equal("unheard", other:receive(GUARD)[1])
  end)

  it("stay when their port is closed: the error counts as heard", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local iso = Isolate.spawn(function() error "unheard" end, nil,
        { paused = true, on_error = port.send_port })
      port:close()
      iso:resume(iso.pause_capability)
      print(iso:join())
    ]]
    assert.same({ 0, "true\n", "" }, { result.status, result.stdout, result.stderr })
  end)

  it("without any, an error goes to stderr", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      Isolate.spawn(function() error "alone" end, nil, { name = "poor" }):join()
    ]]
    assert.equal(0, result.status)
    assert.truthy(result.stderr:find("isolate 'poor': script.lua:2: alone\nstack traceback:", 1, true))
  end)

  it("get the type of an error whose __tostring fails", function()
    local iso, inbox, port = echo()
    iso:add_error_listener(port.send_port)
    inbox:send(function() error(setmetatable({}, { __tostring = function() error "no" end })) end)
    assert.equal("(error object is a table value)", port:receive(GUARD)[1])
  end)

  it("get nothing when the __tostring of the error calls Isolate.exit", function()
    local iso, inbox, port = echo()
    iso:add_error_listener(port.send_port)
    iso:add_on_exit_listener(port.send_port, "exit")
    inbox:send(function() error(setmetatable({}, { __tostring = function() Isolate.exit() end })) end)
    assert.equal("exit", port:receive(GUARD))
  end)

  it("hear of a stack overflow, and of no memory", function()
    local iso, inbox, port = echo { memory_limit = 256e6 }
    iso:add_error_listener(port.send_port)
    iso:set_errors_fatal(false)
    inbox:send(function()
      local function deep() return 1 + deep() end
      deep()
    end)
    assert.truthy(port:receive(GUARD)[1]:find("stack overflow", 1, true))
    inbox:send(function() string.rep("x", 1e9) end)
    assert.equal("not enough memory", port:receive(GUARD)[1])
    inbox:send "alive"
    assert.equal("alive", port:receive(GUARD))
  end)
end)

describe("2.2: set_errors_fatal", function()
  it("false abandons the event and goes on with the next, true ends at one", function()
    local iso, inbox, port = echo()
    iso:add_error_listener(port.send_port)
    iso:add_on_exit_listener(port.send_port, "exit")
    iso:set_errors_fatal(false)
    settled(iso)
    inbox:send(function(to)
      to:send "begun"
      error("one", 0)
    end)
    inbox:send "next"
    assert.equal("begun", port:receive(GUARD))
    assert.equal("one", port:receive(GUARD)[1])
    assert.equal("next", port:receive(GUARD))
    iso:set_errors_fatal(true)
    settled(iso)
    inbox:send(function() error("two", 0) end)
    assert.equal("two", port:receive(GUARD)[1])
    assert.equal("exit", port:receive(GUARD))
  end)

  it("takes a boolean only", function()
    local iso = echo()
    assert.truthy(failure(iso.set_errors_fatal, iso, 0):find(
      "bad argument #1 to 'set_errors_fatal' (boolean expected, got number)", 1, true))
  end)

  it("an error of a timer does not stop other timers that are due", function()
    local port = new_port()
    Isolate.spawn(function(to)
      Isolate.Timer(0, function() error("timer", 0) end)
      Isolate.Timer(0, function() to:send "other timer" end)
    end, port.send_port, { errors_are_fatal = false, on_error = port.send_port })
    assert.equal("timer", port:receive(GUARD)[1])
    assert.equal("other timer", port:receive(GUARD))
  end)
end)

describe("2.2: errors()", function()
  it("is a stream of RemoteErrors", function()
    local iso, inbox = echo { errors_are_fatal = false, name = "faulty" }
    local errors = keep(iso:errors())
    settled(iso)
    for _, text in ipairs { "one", "two" } do inbox:send(function() error(text, 0) end) end
    for _, text in ipairs { "one", "two" } do
      local e = errors:receive(GUARD)
      assert.equal(Isolate.RemoteError, getmetatable(e))
      assert.equal(text, e.message)
      assert.equal("faulty", e.isolate)
      assert.truthy(e.traceback:find("control_spec.lua", 1, true))
    end
  end)

  it("hears those from then on, and is done when the isolate ends", function()
    local iso, inbox, port = echo { errors_are_fatal = false }
    iso:add_error_listener(port.send_port)
    inbox:send(function() error("early", 0) end)
    assert.equal("early", port:receive(GUARD)[1])
    iso:remove_error_listener(port.send_port)
    local log, add = new_log()
    local errors = iso:errors()
    errors:listen(function(e) add(e.message) end, { on_done = function() add "done" end })
    settled(iso)
    inbox:send(function() error("late", 0) end)
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    helper.eventually(function() return log[2] end, GUARD, pump)
    assert.same({ "late", "done" }, log)
  end)

  it("hears the error that ends the isolate before it is done", function()
    local iso, inbox = echo()
    local errors = iso:errors()
    settled(iso)
    inbox:send(function() error("the end", 0) end)
    local got = {}
    for i, e in errors:messages() do got[i] = e.message end
    assert.same({ "the end" }, got)
  end)

  it("is done at once for an isolate that has ended", function()
    local iso, inbox = echo()
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    assert.same({ nil, "closed" }, { iso:errors():receive() })
  end)

  it("is any number of streams, each of which can be broadcast", function()
    local iso, inbox = echo { errors_are_fatal = false }
    local one, two = keep(iso:errors()), keep(iso:errors():as_broadcast())
    local log, add = new_log()
    two:listen(function(e) add("a " .. e.message) end)
    two:listen(function(e) add("b " .. e.message) end)
    settled(iso)
    inbox:send(function() error("x", 0) end)
    assert.equal("x", one:receive(GUARD).message)
    helper.eventually(function() return log[2] end, GUARD, pump)
    assert.same({ "a x", "b x" }, log)
  end)

  it("that is closed listens no more: errors go to stderr again", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local iso = Isolate.spawn(function() error "on stderr" end, nil, { paused = true })
      local errors <close> = iso:errors()
      errors:close()
      iso:resume(iso.pause_capability)
      iso:join()
    ]]
    assert.equal(0, result.status)
    assert.truthy(result.stderr:find("on stderr", 1, true))
  end)

  it("keeps an error from stderr while it is open", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local iso = Isolate.spawn(function() error("heard", 0) end, nil, { paused = true })
      local errors = iso:errors()
      iso:resume(iso.pause_capability)
      for _, e in errors:messages() do print(e.message) end
    ]]
    assert.same({ 0, "heard\n", "" }, { result.status, result.stdout, result.stderr })
  end)

  it("needs no capability", function()
    local iso, inbox = echo()
    local errors = Isolate.handle(iso.control_port):errors()
    settled(iso)
    inbox:send(function() error("seen", 0) end)
    assert.equal("seen", errors:first():await(GUARD).message)
  end)
end)

describe("2.2: a handle", function()
  it("can be sent, used there and sent back, and is equal and the same key", function()
    local iso, inbox, port = echo()
    local table_of = { [iso] = "this" }
    local back, state = Isolate.run(function()
      iso:ping(iso.control_port)                        -- goes nowhere, harms nobody
      return iso, iso:join(0)
    end):await(GUARD)
    assert.is_nil(state)
    assert.is_true(back == iso)
    assert.equal("this", table_of[back])
    inbox:send "still works"
    assert.equal("still works", port:receive(GUARD))
  end)

  it("is joined by time: nil, \"timeout\", then true", function()
    local iso, inbox = echo()
    assert.same({ nil, "timeout" }, { iso:join(0) })
    assert.same({ nil, "timeout" }, { iso:join(0.01) })
    inbox:send "bye"
    assert.is_true(iso:join())
    assert.is_true(iso:join(0))
  end)

  it("is listed with name, id, state, queued, memory, cpu", function()
    local iso, inbox, port = echo { name = "entry" }
    local capability = iso:pause()
    settled(iso)
    inbox:send "waits"
    local entry
    helper.eventually(function()
      for _, it in ipairs(Isolate.list()) do if it.name == "entry" then entry = it end end
      return entry.state == "paused" and entry.queued == 1
    end, GUARD)
    assert.equal("paused", entry.state)
    assert.equal(1, entry.queued)
    assert.equal("integer", math.type(entry.id))
    assert.is_true(entry.memory > 0)
    assert.is_true(entry.cpu >= 0)
    iso:resume(capability)
    assert.equal("waits", port:receive(GUARD))
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    for _, it in ipairs(Isolate.list()) do assert.not_equal("entry", it.name) end
  end)
end)
