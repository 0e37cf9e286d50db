-- Ports, and what keeps an isolate alive. Ids are those of Dart's behaviour
-- (B1-B14, E2, E13; 2.3: ports).

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local turns  = require "spec.support.turns"

local pump, new_log, failure, keep = turns.pump, turns.new_log, turns.failure, alone.keep
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

local new_port = alone.new_port
local function new_raw(handler) return keep(Isolate.RawReceivePort(handler)) end

local function send_all(port, ...)
  for i = 1, select("#", ...) do port.send_port:send((select(i, ...))) end
end

-- Has an isolate with 'fn' ended by itself, after all that it had to do?
local function ends(fn, message)
  return Isolate.spawn(fn, message):join(GUARD)
end

-- Does an isolate with 'fn' live on with nothing but what 'fn' left?
local function lives(fn)
  local port <close> = Isolate.ReceivePort()
  local iso = Isolate.spawn(function(to)
    fn(to)
    Isolate.Timer(0, function() to:send "last event" end)
  end, port.send_port)
  repeat until port:receive(GUARD) == "last event"
  local ended = iso:join(0.02)
  iso:ping(port.send_port, "pong")
  local pong = port:receive(GUARD)
  iso:kill(Isolate.immediate)
  assert.is_true(iso:join(GUARD))
  return not ended and pong == "pong"
end

describe("B1, B2: a ReceivePort", function()
  it("has a send_port, always equal to itself, that many may hold", function()
    local port = new_port()
    local one, other = port.send_port, port.send_port
    assert.is_true(one == other)
    one:send(1)
    other:send(2)
    assert.equal(1, port:receive(GUARD))
    assert.equal(2, port:receive(GUARD))
  end)

  it("may have a name, a string", function()
    assert.equal("orders", new_port("orders").name)
    assert.truthy(failure(Isolate.ReceivePort, 1):find(
      "bad argument #1 to 'ReceivePort' (string expected, got number)", 1, true))
  end)
end)

describe("B2, 2.3: send", function()
  it("never blocks, and takes any number of messages", function()
    local port = new_port()
    for i = 1, 20000 do port.send_port:send(i) end
    for i = 1, 20000 do assert.equal(i, port:receive(GUARD)) end
  end)

  it("copies at once: what is changed later is not seen", function()
    local port, list = new_port(), { 1 }
    port.send_port:send(list)
    list[1] = 2
    assert.same({ 1 }, port:receive(GUARD))
  end)

  it("raises for what cannot be sent: nothing is delivered", function()
    local port = new_port()
    assert.truthy(failure(port.send_port.send, port.send_port, { 1, port }):find(
      "cannot send message[2]: a ReceivePort stays in its isolate", 1, true))
    assert.same({ nil, "timeout" }, { port:receive(0) })
  end)

  it("B7: to a closed port, or a dead isolate, is dropped without an error", function()
    local port = new_port()
    port:close()
    port.send_port:send "dropped"
    local there = Isolate.run(function() return Isolate.ReceivePort().send_port end):await(GUARD)
    helper.eventually(function() return #Isolate.list() == 1 end, GUARD)
    there:send "dropped"
  end)

  it("2.3: a SendPort equals itself wherever it has been, and is a key", function()
    local port = new_port()
    local back = Isolate.run(function(p)
      return Isolate.run(function(q) return q end, p):await()
    end, port.send_port):await(GUARD)
    assert.is_true(back == port.send_port)
    assert.equal("mine", ({ [port.send_port] = "mine" })[back])
    assert.is_false(back == new_port().send_port)
  end)

  it("2.3: a Capability equals itself wherever it has been, and nothing else", function()
    local capability = Isolate.Capability()
    local back = Isolate.run(function(c) return c end, capability):await(GUARD)
    assert.is_true(back == capability)
    assert.equal(1, ({ [capability] = 1 })[back])
    assert.is_false(capability == Isolate.Capability())
    assert.is_false(pcall(function() return capability < back end))
  end)
end)

describe("B3: listen", function()
  it("calls its handler for each message, until the port is closed", function()
    local port, log, add = new_port(), new_log()
    port:listen(function(v)
      add(v)
      if v == 3 then port:close() end
    end, { on_done = function() add "done" end })
    send_all(port, 1, 2, 3, 4, 5)
    pump()
    assert.same({ 1, 2, 3, "done" }, log)
  end)

  it("2.3: is had once: the second raises", function()
    local port = new_port()
    port:listen(print)
    assert.truthy(failure(port.listen, port, print):find(
      "bad use of 'listen': somebody listens to this port already", 1, true))
  end)

  it("2.3: hands over what was buffered before", function()
    local port, log, add = new_port(), new_log()
    send_all(port, 1, 2)
    pump()
    port:listen(add)
    pump()
    send_all(port, 3)
    pump()
    assert.same({ 1, 2, 3 }, log)
  end)

  -- Such a receive was forgotten, and heard "closed" at the end.
  it("2.3: leaves the next message to a receive that waited before it", function()
    local port, log, add = new_port(), new_log()
    local waiting = Isolate.async(function() return port:receive() end)
    port:listen(add)
    send_all(port, 1, 2, 3)
    pump()
    assert.equal(1, waiting:await(GUARD))
    assert.same({ 2, 3 }, log)
  end)

  it("2.3: a cancelled subscription closes the port", function()
    local port, log, add = new_port(), new_log()
    port:listen(add):cancel()
    send_all(port, 1)
    pump()
    assert.same({}, log)
    assert.is_true(port.closed)
  end)
end)

describe("B4: first", function()
  it("is the first message; the port is closed then, and cannot be used again", function()
    local port = new_port()
    local first = port:first()
    send_all(port, "one", "two")
    assert.equal("one", first:await(GUARD))
    assert.same({ nil, "closed" }, { port:receive() })
  end)

  it("comes from another isolate after a while (D7)", function()
    local port = new_port()
    Isolate.spawn(function(to)
      Isolate.Future.delayed(0.005, function() to:send "hello world" end)
    end, port.send_port)
    assert.equal("hello world", port:first():await(GUARD))
  end)

  it("that is cancelled closes the port", function()
    local port = new_port()
    port:first():cancel()
    assert.is_true(port.closed)
  end)
end)

describe("B5: messages", function()
  it("is Dart's await for", function()
    local port, got = new_port(), {}
    send_all(port, "a", nil, "c", "end")
    for i, message in port:messages() do
      if message == "end" then port:close() else got[i] = message end
    end
    assert.same({ "a", nil, "c" }, got)
  end)
end)

describe("B6: close", function()
  it("drops what is queued, is done once, and may come again", function()
    local port, log, add = new_port(), new_log()
    port:listen(add, { on_done = function() add "done" end })
    send_all(port, 1, 2)
    port:close()
    port:close()
    pump()
    port:close()
    pump()
    assert.same({ "done" }, log)
  end)

  it("in every state: fresh, with messages, awaited, listened to, paused, taken over", function()
    local raw = new_raw()
    local states = {
      fresh = function() end,
      full = function(port) send_all(port, 1, 2) end,
      buffered = function(port) send_all(port, 1, 2) pump() end,
      awaited = function(port) Isolate.async(function() port:receive() end) end,
      first = function(port) port:first():catch(function() end) end,
      listened = function(port) port:listen(print) end,
      paused = function(port) port:listen(print):pause() send_all(port, 1) pump() end,
      broadcast = function(port) port:as_broadcast():listen(print) end,
      mapped = function(port) port:map(print):listen(print) end,
      looped = function(port) Isolate.async(function() for _ in port:messages() do error "none" end end) end,
      raw = function(_) raw:close() end,
    }
    for name, prepare in pairs(states) do
      local port = name == "raw" and Isolate.ReceivePort.from_raw(raw) or new_port()
      prepare(port)
      port:close()
      send_all(port, "dropped")
      pump()
      port:close()
      assert.is_true(port.closed, name)
    end
  end)

  it("D9: drops the answers that still come, without an error", function()
    local port = new_port()
    local iso = Isolate.spawn(function(to)
      local inbox <close> = Isolate.ReceivePort()
      to:send(inbox.send_port)
      for _, v in inbox:messages() do
        to:send(v)
        if v == "bye" then break end
      end
    end, port.send_port)
    local inbox = port:receive(GUARD)
    inbox:send(1)
    inbox:send "bye"
    port:close()
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("B8, B9, B10: SendPorts in messages", function()
  it("make the two-way handshake", function()
    local port = new_port()
    Isolate.spawn(function(to)
      local inbox = Isolate.ReceivePort()
      to:send(inbox.send_port)
      inbox:listen(function(v)
        if v == "bye" then inbox:close() else to:send(v * v) end
      end)
    end, port.send_port)
    local there = port:receive(GUARD)
    for i = 1, 5 do
      there:send(i)
      assert.equal(i * i, port:receive(GUARD))
    end
    there:send "bye"
  end)

  it("B11: may come after the first tick of a timer that uses them", function()
    local port, there = new_port(), nil
    local ticks, sent = 0, 0
    local timer = Isolate.Timer.periodic(0.001, function()
      ticks = ticks + 1
      if not there then return end
      sent = sent + 1
      there:send(sent)
    end)
    Isolate.sleep(0.003)
    Isolate.spawn(function(to)
      local inbox <close> = Isolate.ReceivePort()
      to:send(inbox.send_port)
      for i = 1, 3 do to:send { i, inbox:receive() } end
    end, port.send_port)
    there = port:receive(GUARD)
    for i = 1, 3 do assert.same({ i, i }, port:receive(GUARD)) end
    timer:cancel()
    assert.is_true(ticks > sent)
  end)

  it("B9: may be reply ports in a list; text of any alphabet", function()
    local port, reply = new_port(), new_port()
    Isolate.spawn(function(to)
      local inbox = Isolate.ReceivePort()
      to:send(inbox.send_port)
      local message = inbox:first():await()
      message[2]:send("처리된 데이터: " .. message[1])
    end, port.send_port)
    port:receive(GUARD):send { "Hello, Worker!", reply.send_port }
    assert.equal("처리된 데이터: Hello, Worker!", reply:receive(GUARD))
  end)

  it("B10: may be in a map, several ports for one isolate", function()
    local one, two = new_port(), new_port()
    Isolate.spawn(function(ports)
      ports.two:send "2"
      ports.one:send "1"
    end, { one = one.send_port, two = two.send_port })
    assert.equal("1", one:receive(GUARD))
    assert.equal("2", two:receive(GUARD))
  end)
end)

describe("B12, B14, 2.3: a RawReceivePort", function()
  it("hands messages to its handler, which may be replaced at any time, by itself too", function()
    local log, add = new_log()
    local raw
    raw = new_raw(function(v)
      add("first " .. v)
      raw.handler = function(w) add("second " .. w) end
    end)
    send_all(raw, 1, 2)
    pump()
    raw.handler = add
    send_all(raw, 3)
    pump()
    assert.same({ "first 1", "second 2", 3 }, log)
  end)

  it("loses a message that finds no handler when it is handled", function()
    local raw, log, add = new_raw(), new_log()
    send_all(raw, "lost")
    pump()
    send_all(raw, "in time")
    raw.handler = add
    pump()
    assert.same({ "in time" }, log)
  end)

  it("has a handler whose error is uncaught, and goes on", function()
    local log, add = new_log()
    local raw = new_raw(function(v)
      if v == 1 then error("one", 0) end
      add(v)
    end)
    send_all(raw, 1, 2)
    assert.equal("one", failure(pump))
    pump()
    assert.same({ 2 }, log)
  end)

  it("closes: the handler is never called again; twice is fine", function()
    local log, add = new_log()
    local raw = new_raw(add)
    send_all(raw, 1)
    raw:close()
    raw:close()
    pump()
    assert.same({}, log)
  end)

  it("has keep_alive, true at first; nothing else can be set", function()
    local raw = new_raw()
    assert.is_true(raw.keep_alive)
    raw.keep_alive = false
    assert.is_false(raw.keep_alive)
    assert.truthy(failure(function() raw.keep_alive = 1 end):find(
      "bad argument #1 to 'keep_alive' (boolean expected, got number)", 1, true))
    assert.truthy(failure(function() raw.other = 1 end):find(
      "a RawReceivePort has no field 'other' to be set", 1, true))
    assert.truthy(failure(function() raw.handler = 1 end):find(
      "bad argument #1 to 'handler' (function expected, got number)", 1, true))
  end)

  it("is no stream", function()
    assert.is_nil(new_raw().listen)
    assert.is_nil(new_raw().first)
  end)
end)

describe("B13: ReceivePort.from_raw", function()
  it("takes over in mid-life, in the handler, with messages in the queue: none is lost", function()
    local log, add = new_log()
    local raw, port
    raw = new_raw(function(v)
      add("raw " .. v)
      port = keep(Isolate.ReceivePort.from_raw(raw))
    end)
    send_all(raw, 1, 2, 3)
    pump()
    assert.same({ "raw 1" }, log)
    send_all(raw, 4)
    pump()
    assert.equal(raw.send_port, port.send_port)
    port:listen(function(v) add("port " .. v) end)
    pump()
    assert.same({ "raw 1", "port 2", "port 3", "port 4" }, log)
  end)

  it("overwrites the handler: setting one has no effect any more", function()
    local raw, log, add = new_raw(), new_log()
    local port = keep(Isolate.ReceivePort.from_raw(raw))
    raw.handler = add
    send_all(raw, 1)
    assert.equal(1, port:receive(GUARD))
    assert.same({}, log)
  end)

  it("keeps keep_alive as it was", function()
    assert.is_true(ends(function()
      local raw = Isolate.RawReceivePort()
      raw.keep_alive = false
      Isolate.ReceivePort.from_raw(raw):listen(print)
    end))
  end)

  it("is closed from either end", function()
    for _, which in ipairs { 1, 2 } do
      local raw = new_raw()
      local port = keep(Isolate.ReceivePort.from_raw(raw))
      local _ = (which == 1 and raw or port):close()
      assert.same({ nil, "closed" }, { port:receive() })
    end
  end)

  it("takes an open raw port, once", function()
    local raw = new_raw()
    keep(Isolate.ReceivePort.from_raw(raw))
    assert.truthy(failure(Isolate.ReceivePort.from_raw, raw):find(
      "from_raw: the port is closed, or was taken over already", 1, true))
    assert.truthy(failure(Isolate.ReceivePort.from_raw, new_port()):find(
      "bad argument #1 to 'from_raw' (RawReceivePort expected, got ReceivePort)", 1, true))
  end)
end)

describe("E2, 2.3: one queue per isolate", function()
  it("handles messages in the order in which they were added, over all ports", function()
    local log, add = new_log()
    local ports = { new_port(), new_port(), new_port() }
    for i, port in ipairs(ports) do port:listen(function(v) add(i .. v) end) end
    for _, letter in ipairs { "a", "b" } do
      for i = 3, 1, -1 do send_all(ports[i], letter) end
    end
    pump()
    assert.same({ "3a", "2a", "1a", "3b", "2b", "1b" }, log)
  end)

  it("keeps the order of one sender over several ports", function()
    local log, add = new_log()
    local one, two = new_port(), new_port()
    one:listen(add)
    two:listen(add)
    Isolate.run(function(a, b)
      for i = 1, 10, 2 do
        a:send(i)
        b:send(i + 1)
      end
    end, one.send_port, two.send_port):await(GUARD)
    pump()
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, log)
  end)

  it("keeps causes before effects, over three isolates", function()
    local port = new_port()
    local relay = Isolate.spawn(function(to)
      local inbox = Isolate.ReceivePort()
      to:send(inbox.send_port)
      for i = 1, 100 do
        inbox:receive()
        to:send("effect " .. i)
      end
      inbox:close()
    end, port.send_port)
    local there, to = port:receive(GUARD), port.send_port
    Isolate.run(function()
      for i = 1, 100 do
        to:send("cause " .. i)
        there:send(i)
      end
    end)
    local seen = {}
    for _ = 1, 200 do
      local v = port:receive(GUARD)
      local kind, i = v:match "(%a+) (%d+)"
      if kind == "effect" then assert.is_true(seen[i], v) end
      seen[i] = true
    end
    assert.is_true(relay:join(GUARD))
  end)

  it("delivers each message exactly once, from many senders", function()
    local port, senders = new_port(), {}
    local to = port.send_port
    for s = 1, 4 do
      senders[s] = Isolate.run(function()
        for i = 1, 250 do to:send { s, i } end
      end)
    end
    local last = { 0, 0, 0, 0 }
    for _ = 1, 1000 do
      local v = port:receive(GUARD)
      assert.equal(last[v[1]] + 1, v[2])
      last[v[1]] = v[2]
    end
    for s = 1, 4 do senders[s]:await(GUARD) end
    assert.same({ nil, "timeout" }, { port:receive(0) })
  end)

  it("2.3.4: what follows an event comes before the next one", function()
    local port, log, add = new_port(), new_log()
    port:listen(function(v)
      add("event " .. v)
      Isolate.Future.value():next(function()
        add("after " .. v)
        return Isolate.Future.value()
      end):next(function() add("and after " .. v) end)
    end)
    send_all(port, 1, 2)
    pump()
    assert.same({ "event 1", "after 1", "and after 1", "event 2", "after 2", "and after 2" }, log)
  end)
end)

describe("E13, 2.3: an isolate is kept alive by", function()
  local alive = {
    { "an open port that nobody listens to", function() Isolate.ReceivePort() end },
    { "an open port though it was collected", function()
      Isolate.ReceivePort()
      collectgarbage()
    end },
    { "a port with a listener", function() Isolate.ReceivePort():listen(print) end },
    { "a raw port", function() Isolate.RawReceivePort() end },
    { "a raw port whose keep_alive is true again", function()
      local raw = Isolate.RawReceivePort()
      raw.keep_alive = false
      raw.keep_alive = true
    end },
    { "an active timer", function() Isolate.Timer(1000, print) end },
    { "a periodic timer", function() Isolate.Timer.periodic(1000, print) end },
    { "a Future.delayed", function() Isolate.Future.delayed(1000) end },
    { "a sleep", function() Isolate.async(Isolate.sleep, 1000) end },
    { "a service", function() Isolate.serve("alive", {}) end },
    { "a broadcast's listener", function() Isolate.Broadcast "alive":listen(print) end },
    { "errors() of somebody", function() Isolate.current:errors():listen(print) end },
  }
  for _, row in ipairs(alive) do
    it(row[1], function() assert.is_true(lives(row[2])) end)
  end

  it("a run that it waits for", function()
    local port = new_port()
    local iso = Isolate.spawn(function(to)
      Isolate.run(function() Isolate.sleep(0.005) return "done" end):next(function(v) to:send(v) end)
    end, port.send_port)
    assert.equal("done", port:receive(GUARD))
    assert.is_true(iso:join(GUARD))
  end)

  it("a pause", function()
    local port = new_port()
    local iso = Isolate.spawn(function(to)
      Isolate.current:pause()
      to:send "paused"
    end, port.send_port)
    assert.equal("paused", port:receive(GUARD))
    assert.same({ nil, "timeout" }, { iso:join(0.02) })
    iso:kill()
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("E13, 2.3: an isolate ends with", function()
  local over = {
    { "nothing at all", function() end },
    { "ports that were closed", function() Isolate.ReceivePort():close() end },
    { "a port that was closed while it was listened to", function()
      local port = Isolate.ReceivePort()
      port:listen(print)
      port:close()
    end },
    { "a first that was cancelled", function() Isolate.ReceivePort():first():cancel() end },
    { "a raw port without keep_alive", function() Isolate.RawReceivePort(print).keep_alive = false end },
    { "a Completer that nobody completes", function()
      Isolate.async(function() Isolate.Completer().future:await() end)
    end },
    { "a callback of a Completer that nobody completes", function()
      Isolate.Completer().future:next(print)
    end },
    { "timers that were cancelled", function()
      Isolate.Timer(1000, print):cancel()
      Isolate.Timer.periodic(1000, print):cancel()
    end },
    { "errors() that were closed", function() Isolate.current:errors():close() end },
    { "a child that lives on", function(message)
      message.to:send(Isolate.spawn(function() Isolate.ReceivePort():receive() end))
    end },
  }
  for _, row in ipairs(over) do
    it(row[1], function()
      local port = new_port()
      assert.is_true(ends(row[2], { to = port.send_port }))
      local child = port:receive(0)
      if child then child:kill() end
    end)
  end

  it("all its ports closed and its messages dropped", function()
    local port = new_port()
    local iso = Isolate.spawn(function(to)
      local inbox = Isolate.ReceivePort()
      to:send(inbox.send_port)
      inbox:receive()
      Isolate.exit()
    end, port.send_port)
    local there = port:receive(GUARD)
    for i = 1, 100 do there:send(i) end
    assert.is_true(iso:join(GUARD))
    there:send "dropped"
  end)
end)

describe("2.3: the main isolate's end", function()
  it("ends the process, and all isolates with it #signal", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      Isolate.spawn(function(to)
        Isolate.spawn(function(t) t:send "child" while true do end end, to)
        Isolate.ReceivePort():receive()
      end, port.send_port)
      print(port:receive())
      os.exit(3, true)
    ]]
    assert.same({ 3, "child\n" }, { result.status, result.stdout })
  end)

  it("does not come while loop() has an open port (D2)", function()
    local result = helper.lua([[
      local Isolate = require "isolate"
      Isolate.ReceivePort():listen(print)
      Isolate.Timer(0, function() io.write "timer\n" io.flush() end)
      Isolate.loop()
    ]], { guard = 1 })
    assert.is_true(result.timed_out)
    assert.equal("timer\n", result.stdout)
  end)

  it("D8: closing the port that a periodic sender sends to disturbs neither", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local iso = Isolate.spawn(function(to)
        local n = 0
        Isolate.Timer.periodic(0.001, function()
          n = n + 1
          to:send(n)
        end)
      end, port.send_port)
      port:listen(function(n)
        if n > 5 then port:close() else print("receive : " .. n) end
      end)
      Isolate.loop()
      print(iso:join(0.02))                       -- its timer keeps it alive
      iso:kill(Isolate.immediate)
      print(iso:join())
    ]]
    assert.equal(0, result.status)
    assert.equal("receive : 1\nreceive : 2\nreceive : 3\nreceive : 4\nreceive : 5\n"
      .. "nil\ttimeout\ntrue\n", result.stdout)
  end)
end)
