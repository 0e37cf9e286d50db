-- Control: what a handle can do to an isolate besides ending it, and what is
-- listed. Ids are those of Dart's behaviour.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local GUARD = 60

-- An isolate that sends back what it gets, and ends at "bye". Returns its
-- handle, its port, and the port its answers come to.
local function echo(opts)
  local port = Isolate.ReceivePort()
  local iso = Isolate.spawn(function(answers)
    local inbox = Isolate.ReceivePort()
    answers:send(inbox.send_port)
    inbox:listen(function(message)
      if message == "bye" then inbox:close() else answers:send(message) end
    end)
  end, port.send_port, opts)
  return iso, port:receive(GUARD), port
end

local function finish(iso, inbox, port)
  inbox:send "bye"
  assert.is_true(iso:join(GUARD))
  port:close()
end

describe("pause", function()
  it("lets messages wait until it is resumed", function()
    local iso, inbox, port = echo()
    local capability = iso:pause()
    inbox:send(1)
    inbox:send(2)
    iso:ping(port.send_port, "paused, and alive")
    assert.equal("paused, and alive", port:receive(GUARD))
    iso:resume(capability)
    assert.equal(1, port:receive(GUARD))
    assert.equal(2, port:receive(GUARD))
    finish(iso, inbox, port)
  end)

  it("counts each capability by itself, and one given twice once", function()
    local iso, inbox, port = echo()
    local one, other = iso:pause(), Isolate.Capability()
    assert.equal(other, iso:pause(other))
    iso:pause(other)
    inbox:send "message"
    iso:resume(one)
    iso:ping(port.send_port, "still held")
    assert.equal("still held", port:receive(GUARD))
    iso:resume(Isolate.Capability())  -- holds nothing
    iso:ping(port.send_port, "and still")
    assert.equal("and still", port:receive(GUARD))
    iso:resume(other)
    assert.equal("message", port:receive(GUARD))
    finish(iso, inbox, port)
  end)

  it("is ignored without the pause capability", function()
    local iso, inbox, port = echo()
    Isolate.handle(iso.control_port):pause()
    inbox:send "goes on"
    assert.equal("goes on", port:receive(GUARD))
    finish(iso, inbox, port)
  end)

  it("keeps timers from firing", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(answers)
      Isolate.Timer(0.01, function() answers:send "timer" end)
      answers:send "set"
    end, port.send_port)
    assert.equal("set", port:receive(GUARD))
    local capability = iso:pause()
    Isolate.sleep(0.05)
    iso:ping(port.send_port, "pong")
    -- the timer may have been quicker than the pause; then it came first
    local first = port:receive(GUARD)
    if first == "timer" then first = port:receive(GUARD) end
    assert.equal("pong", first)
    iso:resume(capability)
    assert.is_true(iso:join(GUARD))
  end)

  it("at spawn holds the function until it is resumed", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(answers) answers:send "started" end, port.send_port,
      { paused = true })
    iso:ping(port.send_port, "not yet")
    assert.equal("not yet", port:receive(GUARD))
    iso:resume(iso.pause_capability)
    assert.equal("started", port:receive(GUARD))
    assert.is_true(iso:join(GUARD))
  end)

  it("keeps an isolate alive that has nothing else", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(answers)
      Isolate.current:pause()
      answers:send "paused"
    end, port.send_port)
    assert.equal("paused", port:receive(GUARD))
    iso:ping(port.send_port, "alive")
    assert.equal("alive", port:receive(GUARD))
    iso:kill(Isolate.before_next_event)
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("ping", function()
  it("overtakes messages, and keeps its place among control messages", function()
    local iso, inbox, port = echo()
    local capability = iso:pause()
    inbox:send "message"
    iso:ping(port.send_port, "first", Isolate.immediate)
    iso:ping(port.send_port, "second", Isolate.before_next_event)
    iso:resume(capability)
    assert.equal("first", port:receive(GUARD))
    assert.equal("second", port:receive(GUARD))
    assert.equal("message", port:receive(GUARD))
    finish(iso, inbox, port)
  end)

  it("of an isolate that has ended is not answered", function()
    local iso, inbox, port = echo()
    inbox:send "bye"
    assert.is_true(iso:join(GUARD))
    iso:ping(port.send_port, "?")
    assert.same({ nil, "timeout" }, { port:receive(0.02) })
    port:close()
  end)

  it("refuses a response that cannot be sent", function()
    local iso, inbox, port = echo()
    local ok, why = pcall(iso.ping, iso, port.send_port, { f = io.stdout })
    assert.is_false(ok)
    assert.truthy(why:find("cannot send response.f: an open file stays in its isolate", 1, true))
    finish(iso, inbox, port)
  end)
end)

describe("Isolate.list", function()
  it("tells of the main isolate and of those it has spawned", function()
    local iso, inbox, port = echo { name = "listed" }
    local main, other
    for _, it in ipairs(Isolate.list()) do
      if it.name == "main" then main = it end
      if it.name == "listed" then other = it end
    end
    assert.equal("running", main.state)
    assert.equal("integer", math.type(main.memory))
    assert.equal("integer", math.type(other.id))
    assert.truthy(other.state == "idle" or other.state == "running")
    assert.truthy(other.memory > 10000)
    assert.truthy(other.cpu >= 0)
    assert.equal(0, other.queued)
    finish(iso, inbox, port)
    for _, it in ipairs(Isolate.list()) do assert.not_equal("listed", it.name) end
  end)

  it("says who is paused, and how much waits there", function()
    local iso, inbox, port = echo { name = "held" }
    local capability = iso:pause()
    iso:ping(port.send_port)
    port:receive(GUARD)
    for _ = 1, 3 do inbox:send(1) end
    helper.eventually(function()
      for _, it in ipairs(Isolate.list()) do
        if it.name == "held" then return it.state == "paused" and it.queued == 3 end
      end
    end, GUARD)
    iso:resume(capability)
    for _ = 1, 3 do port:receive(GUARD) end
    finish(iso, inbox, port)
  end)
end)

describe("Isolate.spawn_file", function()
  local dir = helper.tempdir()

  it("runs a file with a message and arguments", function()
    local path = dir .. "/job.lua"
    helper.write(path, "#!/usr/bin/lua\nlocal m = ...\nm.port:send { m.n + 1, arg[1], m.n < 0 }\n")
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn_file(path, { port = port.send_port, n = 1 }, { args = { "x" } })
    assert.equal("job.lua", iso.name)
    assert.same({ 2, "x", false }, port:receive(GUARD))
    assert.is_true(iso:join(GUARD))
  end)

  it("keeps the lines of the file in its errors", function()
    local path = dir .. "/bad.lua"
    helper.write(path, "#!/usr/bin/lua\n\nerror 'here'\n")
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn_file(path, nil, { on_error = port.send_port })
    assert.truthy(port:receive(GUARD)[1]:find("bad.lua:3: here", 1, true))
  end)

  it("raises for a file that is not there, or is no Lua", function()
    local ok, why = pcall(Isolate.spawn_file, dir .. "/none.lua")
    assert.is_false(ok)
    assert.truthy(why:find("none.lua: No such file", 1, true))
    helper.write(dir .. "/wrong.lua", "local = 1")
    ok, why = pcall(Isolate.spawn_file, dir .. "/wrong.lua")
    assert.is_false(ok)
    assert.truthy(why:find("wrong.lua:1:", 1, true))
  end)

  it("names the message in what cannot be sent", function()
    helper.write(dir .. "/fine.lua", "")
    local ok, why = pcall(Isolate.spawn_file, dir .. "/fine.lua", { io.stdout })
    assert.is_false(ok)
    assert.truthy(why:find("cannot send message[1]: an open file", 1, true))
  end)
end)
