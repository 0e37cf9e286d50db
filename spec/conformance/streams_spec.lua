-- Ports as streams: map, where, take, as_broadcast, and subscriptions. Ids are
-- those of Dart's behaviour (B5: a ReceivePort is a Stream; 2.3: ports).

local Isolate = require "isolate"

local alone = require "spec.support.alone"
local turns = require "spec.support.turns"

local pump, new_log, failure = turns.pump, turns.new_log, turns.failure
local keep = alone.keep
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

local new_port = alone.new_port

local function send_all(port, ...)
  for i = 1, select("#", ...) do port.send_port:send((select(i, ...))) end
end

local function double(n) return n * 2 end
local function odd(n) return n % 2 == 1 end

local CLAIMED = "bad use of '%s': somebody listens to this port already"

-- The three kinds of streams that are made of others, each over a new port.
local made = {
  { "map", function(port) return port:map(function(v) return v end) end },
  { "where", function(port) return port:where(function() return true end) end },
  { "take", function(port) return port:take(100) end },
}

for _, kind in ipairs(made) do
  local name, make = kind[1], kind[2]
  describe("B5, 2.3: a stream of " .. name, function()
    it("is listened to", function()
      local port, log, add = new_port(), new_log()
      make(port):listen(add)
      send_all(port, 1, false, 3)
      pump()
      assert.same({ 1, false, 3 }, log)
    end)

    it("hands over what waited before it was listened to", function()
      local port, log, add = new_port(), new_log()
      send_all(port, 1, 2)
      pump()
      make(port):listen(add)
      assert.same({}, log)
      pump()
      assert.same({ 1, 2 }, log)
    end)

    it("has first, which closes the port", function()
      local port = new_port()
      local stream = make(port)
      local first = stream:first()
      send_all(port, "a", "b")
      assert.equal("a", first:await(GUARD))
      assert.is_true(port.closed)
      assert.same({ nil, "closed" }, { stream:receive() })
    end)

    it("has receive, which waits, or tells of the time or the close", function()
      local port = new_port()
      local stream = make(port)
      send_all(port, "a")
      assert.equal("a", stream:receive(GUARD))
      assert.same(table.pack(nil, "timeout"), table.pack(stream:receive(0)))
      assert.same(table.pack(nil, "timeout"), table.pack(stream:receive(0.01)))
      send_all(port, "b")
      assert.equal("b", stream:receive())
      stream:close()
      assert.same(table.pack(nil, "closed"), table.pack(stream:receive()))
    end)

    it("has messages, until it is closed", function()
      local port, got = new_port(), {}
      local stream = make(port)
      send_all(port, "a", "b", "c", "lost")
      for i, value in stream:messages() do
        got[i] = value
        if i == 3 then stream:close() end
      end
      assert.same({ "a", "b", "c" }, got)
    end)

    it("closes the port below, and may be closed twice", function()
      local port = new_port()
      local stream = make(port)
      stream:close()
      stream:close()
      port.send_port:send "dropped"
      pump()
      assert.is_true(port.closed)
    end)

    it("is closed at the end of a block by <close>", function()
      local port = new_port()
      do
        local stream <close> = make(port)
        send_all(port, 1)
        assert.equal(1, stream:receive(GUARD))
      end
      assert.is_true(port.closed)
    end)

    it("tells on_done once when it is closed, or the port is", function()
      for _, closed in ipairs { "stream", "port" } do
        local port, log, add = new_port(), new_log()
        local stream = make(port)
        stream:listen(add, { on_done = function() add "done" end })
        send_all(port, 1)
        pump()
        ; (closed == "stream" and stream or port):close()
        assert.same({ 1 }, log)
        pump()
        assert.same({ 1, "done" }, log)
      end
    end)

    it("tells on_done of a port that was closed before", function()
      local port, log, add = new_port(), new_log()
      local stream = make(port)
      port:close()
      stream:listen(add, { on_done = function() add "done" end })
      pump()
      assert.same({ "done" }, log)
    end)

    it("fails first with a ClosedError when it is closed before", function()
      local port = new_port()
      local stream = make(port)
      local first = stream:first()
      stream:close()
      local e = failure(first.await, first, GUARD)
      assert.equal("ClosedError", e.name)
      assert.equal("the port was closed before a message came", e.message)
    end)

    it("wakes a task that waits for it when it is closed", function()
      local port = new_port()
      local stream = make(port)
      local waiting = Isolate.async(function() return stream:receive() end)
      pump()
      stream:close()
      assert.same({ nil, "closed" }, { waiting:await(GUARD) })
    end)

    it("takes one listener only, and the port below none then", function()
      local port = new_port()
      local stream = make(port)
      stream:listen(print)
      for _, method in ipairs { "listen", "first", "receive", "messages", "map", "where",
        "take", "as_broadcast" } do
        local expected = CLAIMED:format(method)
        assert.truthy(failure(stream[method], stream, print):find(expected, 1, true))
        assert.truthy(failure(port[method], port, print):find(expected, 1, true))
      end
    end)

    it("leaves the port free until somebody listens to it", function()
      local port = new_port()
      make(port)
      send_all(port, 1)
      assert.equal(1, port:receive(GUARD))
    end)

    it("keeps messages back while its subscription is paused, in order", function()
      local port, log, add = new_port(), new_log()
      local subscription = make(port):listen(add)
      subscription:pause()
      send_all(port, 1, 2, 3)
      pump()
      assert.same({}, log)
      subscription:resume()
      send_all(port, 4)
      pump()
      assert.same({ 1, 2, 3, 4 }, log)
    end)

    it("needs one resume for each pause", function()
      local port, log, add = new_port(), new_log()
      local subscription = make(port):listen(add)
      subscription:pause()
      subscription:pause()
      send_all(port, 1)
      subscription:resume()
      pump()
      assert.same({}, log)
      subscription:resume()
      pump()
      assert.same({ 1 }, log)
      subscription:resume()                             -- one too many: no effect
      subscription:pause()
      send_all(port, 2)
      pump()
      assert.same({ 1 }, log)
    end)

    it("is paused between two messages by its handler", function()
      local port, log, add = new_port(), new_log()
      local subscription
      subscription = make(port):listen(function(value)
        add(value)
        subscription:pause()
      end)
      send_all(port, 1, 2)
      pump()
      assert.same({ 1 }, log)
      subscription:resume()
      pump()
      assert.same({ 1, 2 }, log)
    end)

    it("closes the port when its subscription is cancelled, without on_done", function()
      local port, log, add = new_port(), new_log()
      local subscription = make(port):listen(add, { on_done = function() add "done" end })
      send_all(port, 1)
      pump()
      subscription:cancel()
      send_all(port, 2)
      pump()
      assert.same({ 1 }, log)
      assert.is_true(port.closed)
    end)

    it("hands over nothing that waited while it was paused, once it is closed", function()
      for _, how in ipairs { "close", "cancel" } do
        local port, log, add = new_port(), new_log()
        local stream = make(port)
        local subscription = stream:listen(add)
        subscription:pause()
        send_all(port, 1, 2)
        pump()
        if how == "close" then stream:close() else subscription:cancel() end
        subscription:resume()
        pump()
        assert.same({}, log)
      end
    end)

    it("is closed by its own handler, and drops what was behind", function()
      local port, log, add = new_port(), new_log()
      local stream = make(port)
      stream:listen(function(value)
        add(value)
        stream:close()
      end)
      send_all(port, 1, 2)
      pump()
      assert.same({ 1 }, log)
    end)

    it("stays in its isolate", function()
      local port = new_port()
      local stream = make(port)
      assert.truthy(failure(port.send_port.send, port.send_port, { s = stream }):find(
        "cannot send message.s", 1, true))
    end)
  end)
end

describe("B5: map", function()
  it("makes of each message what its function returns, nil and one value only", function()
    local port, got = new_port(), {}
    local stream = port:map(function(v) if v ~= 2 then return v, "more" end end)
    send_all(port, 1, 2, 3)
    for i, value in stream:messages() do
      got[#got + 1] = { i, value }
      if i == 3 then break end
    end
    assert.same({ { 1, 1 }, { 2, nil }, { 3, 3 } }, got)
    assert.equal(1, select("#", stream:receive(0)) - 1)
  end)

  it("may wait in its function: the order stays", function()
    local port, log, add = new_port(), new_log()
    local pauses = { 0.02, 0, 0.01, 0 }
    port:map(function(i)
      Isolate.sleep(pauses[i])
      return i
    end):listen(add)
    send_all(port, 1, 2, 3, 4)
    while #log < 4 do Isolate.step(GUARD) end
    assert.same({ 1, 2, 3, 4 }, log)
  end)

  it("is made of a map of a where of a take", function()
    local port, log, add = new_port(), new_log()
    port:take(5):where(odd):map(double):listen(add, { on_done = function() add "done" end })
    send_all(port, 1, 2, 3, 4, 5, 6, 7)
    pump()
    assert.same({ 2, 6, 10, "done" }, log)
    assert.is_true(port.closed)
  end)

  it("raises the error of its function from receive, and goes on after it", function()
    local port = new_port()
    local stream = port:map(function(v) return v.x end)
    send_all(port, 1, { x = 2 })
    assert.truthy(failure(stream.receive, stream, GUARD):find("attempt to index a number", 1, true))
    assert.equal(2, stream:receive(GUARD))
  end)

  it("raises the error of its function from messages", function()
    local port = new_port()
    local stream = port:map(function(v) error(v, 0) end)
    send_all(port, "first")
    local next_message = stream:messages()
    assert.equal("first", failure(next_message, nil, 0))
  end)

  it("makes an error of its function uncaught when it is listened to, and goes on", function()
    local port, log, add = new_port(), new_log()
    port:map(function(v)
      if v == 2 then error("two", 0) end
      return v
    end):listen(add)
    send_all(port, 1, 2, 3)
    assert.equal("two", failure(pump))
    pump()
    assert.same({ 1, 3 }, log)
  end)

  it("fails first with the error of its function, and closes the port", function()
    local port = new_port()
    local first = port:map(function(v) error(v, 0) end):first()
    send_all(port, "broken", "later")
    assert.equal("broken", failure(first.await, first, GUARD))
    assert.is_true(port.closed)
  end)

  it("raises for what is no function", function()
    local port = new_port()
    assert.truthy(failure(port.map, port, 1):find(
      "bad argument #1 to 'map' (function expected, got number)", 1, true))
    assert.truthy(failure(port.where, port):find(
      "bad argument #1 to 'where' (function expected, got nil)", 1, true))
  end)
end)

describe("B5: where", function()
  it("leaves out what its function is false for", function()
    local port, log, add = new_port(), new_log()
    port:where(odd):listen(add)
    send_all(port, 1, 2, 3, 4)
    pump()
    assert.same({ 1, 3 }, log)
  end)

  it("keeps nil and false when its function is true for them", function()
    local port = new_port()
    local stream = port:where(function(v) return not v end)
    send_all(port, 1, nil, 2, false)
    assert.same(table.pack(nil), table.pack(stream:receive(GUARD)))
    assert.is_false(stream:receive(GUARD))
  end)

  it("waits for one that it takes, no longer than its timeout", function()
    local port = new_port()
    local stream = port:where(odd)
    send_all(port, 2, 4)
    assert.same({ nil, "timeout" }, { stream:receive(0.01) })
    send_all(port, 6, 7)
    assert.equal(7, stream:receive(GUARD))
  end)
end)

describe("B5: take", function()
  it("is done after so many messages, and closes the port", function()
    local port, log, add = new_port(), new_log()
    port:take(2):listen(add, { on_done = function() add "done" end })
    send_all(port, 1, 2, 3)
    pump()
    assert.same({ 1, 2, "done" }, log)
    assert.is_true(port.closed)
  end)

  it("hands over its last message after a pause, though the port is closed", function()
    local port, log, add = new_port(), new_log()
    local subscription = port:take(1):listen(add, { on_done = function() add "done" end })
    subscription:pause()
    send_all(port, "last")
    pump()
    assert.same({}, log)
    subscription:resume()
    pump()
    assert.same({ "last", "done" }, log)
  end)

  it("of no messages is done at once, when somebody asks", function()
    local port, log, add = new_port(), new_log()
    send_all(port, 1)
    port:take(0):listen(add, { on_done = function() add "done" end })
    pump()
    assert.same({ "done" }, log)
    port = new_port()
    assert.same({ nil, "closed" }, { port:take(0):receive() })
    assert.is_true(port.closed)
  end)

  it("gives a for-loop its end", function()
    local port, got = new_port(), {}
    send_all(port, "a", "b", "c")
    for i, value in port:take(2):messages() do got[i] = value end
    assert.same({ "a", "b" }, got)
  end)

  it("counts for all who wait together", function()
    local port = new_port()
    local stream, got = port:take(2), {}
    local all = {}
    for i = 1, 3 do
      all[i] = Isolate.async(function()
        local value = stream:receive()
        got[#got + 1] = value or "closed"
      end)
    end
    send_all(port, "a", "b", "c")
    Isolate.Future.all(all):await(GUARD)
    assert.same({ "a", "b", "closed" }, got)
  end)

  it("raises for what is no count", function()
    local port = new_port()
    assert.truthy(failure(port.take, port, -1):find(
      "bad argument #1 to 'take' (a count cannot be negative)", 1, true))
    for _, wrong in ipairs { "x", 1.5, {} } do
      assert.truthy(failure(port.take, port, wrong):find(
        "bad argument #1 to 'take' (integer expected, got " .. type(wrong) .. ")", 1, true))
    end
  end)
end)

describe("B5, 2.3: as_broadcast", function()
  it("gives each message to each of many listeners, in order", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    all:listen(function(v) add("a" .. v) end)
    all:listen(function(v) add("b" .. v) end)
    send_all(port, 1, 2)
    pump()
    assert.same({ "a1", "b1", "a2", "b2" }, log)
  end)

  it("gives what waited to those who came together", function()
    local port, log, add = new_port(), new_log()
    send_all(port, 1)
    pump()
    local all = port:as_broadcast()
    all:listen(function(v) add("a" .. v) end)
    all:listen(function(v) add("b" .. v) end)
    pump()
    assert.same({ "a1", "b1" }, log)
  end)

  it("lets a listener that comes late hear what comes then", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    all:listen(function(v) add("early " .. v) end)
    send_all(port, 1)
    pump()
    all:listen(function(v) add("late " .. v) end)
    send_all(port, 2)
    pump()
    assert.same({ "early 1", "early 2", "late 2" }, log)
  end)

  it("lets messages wait until the first listener comes", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    send_all(port, 1, 2)
    pump()
    all:listen(add)
    pump()
    assert.same({ 1, 2 }, log)
  end)

  it("does not begin because a stream made of it is closed", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    send_all(port, 1)
    pump()
    all:map(double):close()
    pump()
    all:listen(add)
    pump()
    assert.same({ 1 }, log)
  end)

  it("goes on for the others when a listener leaves", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    local first = all:listen(function(v) add("a" .. v) end)
    all:listen(function(v) add("b" .. v) end)
    send_all(port, 1)
    pump()
    first:cancel()
    send_all(port, 2)
    pump()
    assert.same({ "a1", "b1", "b2" }, log)
  end)

  it("lets a listener leave, and another come, in the middle of a message", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    local first
    first = all:listen(function(v)
      add("a" .. v)
      first:cancel()
      all:listen(function(w) add("c" .. w) end)
    end)
    all:listen(function(v) add("b" .. v) end)
    send_all(port, 1, 2)
    pump()
    assert.same({ "a1", "b1", "b2", "c2" }, log)
  end)

  it("stays open when the last listener has left", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    all:listen(print):cancel()
    send_all(port, "unheard")
    pump()
    all:listen(add)
    send_all(port, "heard")
    pump()
    assert.same({ "heard" }, log)
  end)

  it("keeps messages back for a paused listener alone", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    local first = all:listen(function(v) add("a" .. v) end)
    all:listen(function(v) add("b" .. v) end)
    first:pause()
    send_all(port, 1, 2)
    pump()
    assert.same({ "b1", "b2" }, log)
    first:resume()
    pump()
    assert.same({ "b1", "b2", "a1", "a2" }, log)
  end)

  it("tells all on_done when it is closed, or the port is", function()
    for _, closed in ipairs { "broadcast", "port" } do
      local port, log, add = new_port(), new_log()
      local all = port:as_broadcast()
      all:listen(add, { on_done = function() add "first" end })
      all:listen(add, { on_done = function() add "second" end })
      send_all(port, "lost")
      ; (closed == "port" and port or all):close()
      pump()
      assert.same({ "first", "second" }, log)
    end
  end)

  it("tells a listener that comes after the end at once that it is done", function()
    for _, started in ipairs { true, false } do
      local port, log, add = new_port(), new_log()
      local all = port:as_broadcast()
      if started then all:listen(add) end
      all:close()
      pump()
      all:listen(add, { on_done = function() add "done" end })
      pump()
      assert.same({ "done" }, log)
      assert.same({ nil, "closed" }, { all:receive() })
    end
  end)

  it("is closed from a handler: the other listeners hear no more", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    all:listen(function(v) add(v) all:close() end)
    all:listen(add)
    send_all(port, 1, 2)
    pump()
    assert.equal(1, log[1])
    for i = 2, #log do assert.not_equal(2, log[i]) end
  end)

  it("has first for each, which leaves the port open", function()
    local port = new_port()
    local all = port:as_broadcast()
    local one, two = all:first(), all:first()
    send_all(port, "a", "b")
    assert.equal("a", one:await(GUARD))
    assert.equal("a", two:await(GUARD))
    pump()
    local three = all:first()
    send_all(port, "c")
    assert.equal("c", three:await(GUARD))
  end)

  it("has receive, which hears what comes from then on", function()
    local port = new_port()
    local all = port:as_broadcast()
    local one = Isolate.async(function() return all:receive() end)
    local two = Isolate.async(function() return all:receive(GUARD) end)
    send_all(port, "a")
    assert.equal("a", one:await(GUARD))
    assert.equal("a", two:await(GUARD))
    assert.same({ nil, "timeout" }, { all:receive(0) })
  end)

  it("takes a for-loop off its list when that is left by break, or by an error", function()
    local port = new_port()
    local all = port:as_broadcast()
    for _, how in ipairs { "break", "error" } do
      send_all(port, 1, 2)
      pcall(function()
        for _, value in all:messages() do
          assert.equal(1, value)
          if how == "error" then error "left" end
          if how == "break" then break end
        end
      end)
      assert.equal(0, #all.taps)
      pump()
    end
  end)

  it("gives a for-loop every message once it has begun", function()
    local port, got = new_port(), {}
    local all = port:as_broadcast()
    local task = Isolate.async(function()
      for i, value in all:messages() do
        got[i] = value
        Isolate.sleep(0)
      end
      return "done"
    end)
    send_all(port, 1, 2, 3)
    while #got < 3 do Isolate.step(GUARD) end
    all:close()
    assert.equal("done", task:await(GUARD))
    assert.same({ 1, 2, 3 }, got)
  end)

  it("is made of a mapped stream, whose function runs once for all", function()
    local calls, port, log, add = 0, new_port(), new_log()
    local all = port:map(function(v) calls = calls + 1 return v * 10 end):as_broadcast()
    all:listen(add)
    all:listen(add)
    send_all(port, 1, 2)
    pump()
    assert.same({ 10, 10, 20, 20 }, log)
    assert.equal(2, calls)
  end)

  it("goes on after an error in the mapped stream, which is uncaught", function()
    local port, log, add = new_port(), new_log()
    port:map(function(v) return v + 1 end):as_broadcast():listen(add)
    send_all(port, 1, {}, 3)
    assert.truthy(failure(pump):find("attempt to perform arithmetic", 1, true))
    pump()
    assert.same({ 2, 4 }, log)
  end)

  it("is mapped, filtered and taken from for each listener by itself", function()
    local port, log, add = new_port(), new_log()
    local all = port:as_broadcast()
    all:map(double):listen(function(v) add("map " .. v) end)
    all:where(odd):listen(function(v) add("where " .. v) end)
    all:take(1):listen(function(v) add("take " .. v) end, { on_done = function() add "taken" end })
    send_all(port, 1, 2)
    pump()
    table.sort(log)
    assert.same({ "map 2", "map 4", "take 1", "taken", "where 1" }, log)
  end)

  it("of a broadcast is itself", function()
    local all = new_port():as_broadcast()
    assert.equal(all, all:as_broadcast())
  end)

  it("claims the port: nobody else may ask it", function()
    local port = new_port()
    port:as_broadcast()
    assert.truthy(failure(port.listen, port, print):find(CLAIMED:format "listen", 1, true))
    assert.truthy(failure(port.receive, port):find(CLAIMED:format "receive", 1, true))
  end)
end)

describe("2.3: a subscription", function()
  it("of a port is paused, and only with resume goes on", function()
    local port, log, add = new_port(), new_log()
    local subscription = port:listen(add)
    subscription:pause()
    send_all(port, 1)
    pump()
    assert.same({}, log)
    subscription:resume()
    assert.same({ 1 }, log)
  end)

  it("that is cancelled twice, or after the end, does nothing", function()
    local port = new_port()
    local subscription = port:map(double):listen(print)
    subscription:cancel()
    subscription:cancel()
    subscription:resume()
    subscription:pause()
    pump()
  end)

  it("does not tell on_done that it was cancelled between close and on_done", function()
    local port, log, add = new_port(), new_log()
    local subscription = port:listen(add, { on_done = function() add "done" end })
    port:close()
    subscription:cancel()
    pump()
    assert.same({}, log)
  end)

  it("is no task of its own: a handler that waits holds nobody up", function()
    local port, log, add = new_port(), new_log()
    local gate = Isolate.Completer()
    port:map(double):listen(function(v)
      if v == 2 then gate.future:await() end
      add(v)
    end)
    send_all(port, 1, 2)
    pump()
    assert.same({ 4 }, log)
    gate:complete()
    pump()
    assert.same({ 4, 2 }, log)
  end)
end)

describe("2.3: a stream over a port", function()
  it("keeps its isolate alive as the port does", function()
    local exits <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(answers)
      local port = Isolate.ReceivePort()
      port:map(function(v) return v end):take(2):listen(function(v) answers:send(v) end)
      answers:send(port.send_port)
    end, exits.send_port)
    local to = exits:receive(GUARD)
    assert.same({ nil, "timeout" }, { iso:join(0.02) })
    to:send(1)
    to:send(2)
    assert.equal(1, exits:receive(GUARD))
    assert.equal(2, exits:receive(GUARD))
    assert.is_true(iso:join(GUARD))                     -- take closed the port
  end)

  it("does not keep it alive when the port does not", function()
    local iso = Isolate.spawn(function()
      local raw = Isolate.RawReceivePort()
      raw.keep_alive = false
      Isolate.ReceivePort.from_raw(raw):map(print):as_broadcast():listen(print)
    end)
    assert.is_true(iso:join(GUARD))
  end)

  it("raises from receive when nothing is left that could send to it", function()
    local raw = keep(Isolate.RawReceivePort())
    raw.keep_alive = false
    local stream = Isolate.ReceivePort.from_raw(raw):map(double)
    assert.truthy(failure(stream.receive, stream):find("nothing can come to this port", 1, true))
  end)
end)
