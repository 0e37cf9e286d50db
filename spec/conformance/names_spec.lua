-- Isolate.names: Flutter's IsolateNameServer (E9, 2.8). Unlike there, a name is
-- free again when its port has closed or its isolate has ended.

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local turns  = require "spec.support.turns"

local failure, keep = turns.failure, alone.keep
local names = Isolate.names
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

local new_port = alone.new_port

-- Waits until nobody has the name.
local function free(name)
  return helper.eventually(function() return names.lookup(name) == nil end, GUARD,
    function() Isolate.sleep(0.002) end)
end

describe("E9, 2.8: Isolate.names", function()
  it("registers a port under a name", function()
    local port = new_port()
    assert.is_true(names.register("a", port.send_port))
    assert.equal(port.send_port, names.lookup("a"))
    names.lookup("a"):send "hello"
    assert.equal("hello", port:receive(GUARD))
  end)

  it("registers nobody under a name that is taken, not even the same port", function()
    local port, other = new_port(), new_port()
    assert.is_true(names.register("a", port.send_port))
    assert.is_false(names.register("a", other.send_port))
    assert.is_false(names.register("a", port.send_port))
    assert.equal(port.send_port, names.lookup("a"))
  end)

  it("gives one port many names", function()
    local port = new_port()
    for _, name in ipairs { "a", "b", "c" } do
      assert.is_true(names.register(name, port.send_port))
    end
    names.remove "b"
    assert.equal(port.send_port, names.lookup "a")
    assert.is_nil(names.lookup "b")
    assert.equal(port.send_port, names.lookup "c")
    port:close()
    assert.is_nil(names.lookup "a")
    assert.is_nil(names.lookup "c")
  end)

  it("finds nil under a name that nobody has", function()
    assert.same(table.pack(nil), table.pack(names.lookup "nobody"))
  end)

  it("removes a name once", function()
    local port = new_port()
    names.register("a", port.send_port)
    assert.is_true(names.remove "a")
    assert.is_false(names.remove "a")
    assert.is_nil(names.lookup "a")
    assert.is_true(names.register("a", port.send_port))
  end)

  it("frees a name when its port closes", function()
    local port, other = new_port(), new_port()
    names.register("a", port.send_port)
    port:close()
    assert.is_nil(names.lookup "a")
    assert.is_false(names.remove "a")
    assert.is_true(names.register("a", other.send_port))
  end)

  it("frees the name of a raw port, and of one that was taken over, too", function()
    local raw = keep(Isolate.RawReceivePort())
    names.register("a", raw.send_port)
    local port = Isolate.ReceivePort.from_raw(raw)
    assert.equal(port.send_port, names.lookup "a")
    port:close()
    assert.is_nil(names.lookup "a")
  end)

  it("refuses a port that is closed", function()
    local port = new_port()
    port:close()
    assert.is_false(names.register("a", port.send_port))
    assert.is_nil(names.lookup "a")
  end)

  it("belongs to the process: other isolates find, take and remove names", function()
    local port = new_port()
    names.register("here", port.send_port)
    local found, taken, removed = Isolate.run(function()
      local Names = require "isolate".names
      local there = Names.lookup "here"
      there:send "from there"
      return there, Names.register("here", there), Names.remove "here"
    end):await(GUARD)
    assert.equal(port.send_port, found)
    assert.is_false(taken)
    assert.is_true(removed)
    assert.is_nil(names.lookup "here")
    assert.equal("from there", port:receive(GUARD))
  end)

  it("lets anybody register a port of another isolate; it is free when that closes", function()
    local port = new_port()
    local iso = Isolate.spawn(function(to)
      local inbox = Isolate.ReceivePort()
      to:send(inbox.send_port)
      inbox:receive()
      inbox:close()
      to:send "closed"
      Isolate.ReceivePort():receive()                   -- lives on
    end, port.send_port)
    local there = port:receive(GUARD)
    assert.is_true(names.register("theirs", there))
    assert.equal(there, names.lookup "theirs")
    there:send "close it"
    assert.equal("closed", port:receive(GUARD))
    assert.is_true(free "theirs")
    iso:kill()
    iso:join(GUARD)
  end)

  it("frees a name that a third isolate gave to a port that was closed meanwhile", function()
    local port = new_port()
    local there = port.send_port
    port:close()
    local registered = Isolate.run(function(to)
      return require "isolate".names.register("late", to)
    end, there):await(GUARD)
    assert.is_boolean(registered)
    assert.is_true(free "late")
  end)

  it("frees the names of an isolate that has ended, however it ended", function()
    local endings = {
      natural = function(port) port:receive() port:close() end,
      error = function(port) port:receive() error "ended" end,
      exit = function(port) port:receive() Isolate.exit() end,
      kill = function(port) port:receive() Isolate.sleep(1000) end,
    }
    for how, ending in pairs(endings) do
      local port, errors = new_port(), new_port()
      local iso = Isolate.spawn(function(to)
        local inbox = Isolate.ReceivePort()
        to:send(Isolate.names.register("mortal", inbox.send_port))
        ending(inbox)
      end, port.send_port, { on_error = errors.send_port })
      assert.is_true(port:receive(GUARD), how)
      names.lookup "mortal":send "end"
      if how == "kill" then iso:kill(Isolate.immediate) end
      assert.is_true(iso:join(GUARD))
      assert.is_nil(names.lookup "mortal", how)
    end
  end)

  it("does not register a port of an isolate that has ended", function()
    local there = Isolate.run(function() return Isolate.ReceivePort().send_port end):await(GUARD)
    helper.eventually(function() return #Isolate.list() == 1 end, GUARD)
    assert.is_false(names.register("ghost", there))
    assert.is_nil(names.lookup "ghost")
  end)

  -- The note of its name, a control message to itself, was the last thing that the
  -- isolate had, and it waited for ever for a message behind that.
  it("does not keep an isolate alive by a name", function()
    local iso = Isolate.spawn(function()
      local raw = Isolate.RawReceivePort()
      raw.keep_alive = false
      Isolate.names.register("weak", raw.send_port)
    end)
    assert.is_true(iso:join(GUARD))
    assert.is_nil(names.lookup "weak")
  end)

  it("names a control port until its isolate has ended", function()
    local iso = Isolate.spawn(function() Isolate.ReceivePort():receive() end)
    assert.is_true(names.register("control", iso.control_port))
    local pings = new_port()
    Isolate.handle(names.lookup "control"):ping(pings.send_port, "pong")
    assert.equal("pong", pings:receive(GUARD))
    assert.equal(iso.control_port, names.lookup "control")
    iso:kill()
    assert.is_true(iso:join(GUARD))
    assert.is_nil(names.lookup "control")
  end)

  it("takes any string as a name, and tells them all apart", function()
    local odd = { "", "\0", "a\0", "a\0b", "a", " ", "a ", "\255\254", ("x"):rep(100000),
      ("x"):rep(99999), "port a", "service a", "äöü", "\n" }
    local ports = {}
    for i, name in ipairs(odd) do
      ports[i] = new_port()
      assert.is_true(names.register(name, ports[i].send_port))
    end
    for i, name in ipairs(odd) do assert.equal(ports[i].send_port, names.lookup(name)) end
    for _, name in ipairs(odd) do assert.is_true(names.remove(name)) end
    for _, name in ipairs(odd) do assert.is_nil(names.lookup(name)) end
  end)

  it("is not confused with names of services and broadcasts", function()
    local port = new_port()
    local serving <close> = Isolate.serve("same", {})
    local broadcast <close> = Isolate.Broadcast "same"
    broadcast:listen(print)
    assert.is_nil(names.lookup "same")
    assert.is_true(names.register("same", port.send_port))
    assert.is_true(names.remove "same")
    assert.is_not_nil(serving)
    assert.is_not_nil(Isolate.connect "same")
  end)

  it("lets one of many win who want the same name at once", function()
    local port = new_port()
    for round = 1, 10 do
      local isolates = {}
      for i = 1, 4 do
        isolates[i] = Isolate.run(function(r)
          local inbox <close> = Isolate.ReceivePort()
          local won = Isolate.names.register("race " .. r, inbox.send_port)
          return won
        end, round)
      end
      local wins = 0
      for i = 1, 4 do if isolates[i]:await(GUARD) then wins = wins + 1 end end
      assert.is_true(wins >= 1)                         -- later ones may find it free again
      assert.is_true(names.register("race " .. round, port.send_port))
      assert.is_true(names.remove("race " .. round))
    end
  end)

  it("raises for what is no name, or no SendPort", function()
    local port = new_port()
    local function says(text, fn, ...)
      assert.truthy(failure(fn, ...):find(text, 1, true))
    end
    says("bad argument #1 to 'register' (string expected, got nil)", names.register)
    says("bad argument #1 to 'register' (string expected, got number)", names.register, 1, port.send_port)
    says("bad argument #2 to 'register' (SendPort expected, got nil)", names.register, "a")
    says("bad argument #2 to 'register' (SendPort expected, got ReceivePort)", names.register, "a", port)
    says("bad argument #1 to 'lookup' (string expected, got table)", names.lookup, {})
    says("bad argument #1 to 'remove' (string expected, got boolean)", names.remove, false)
    assert.is_nil(names.lookup "a")
  end)
end)
