-- port_spec.lua
-- Ports: what is sent into one end, and how it comes out of the other.

local Isolate = require "isolate"

local helper  = require "spec.helper"
local turns   = require "spec.support.turns"

local pump, new_log, failure = turns.pump, turns.new_log, turns.failure
local GUARD = 10                     -- seconds; only a fault ever waits this long
local opened = {}                    -- ports to close after the test

local function keep(port)
  opened[#opened + 1] = port
  return port
end

local function new_port(name) return keep(Isolate.ReceivePort(name)) end

local function new_raw(handler) return keep(Isolate.RawReceivePort(handler)) end

local function send_all(port, ...)
  for i = 1, select("#", ...) do
    port.send_port:send((select(i, ...)))
  end
end

after_each(function()
  for _, port in ipairs(opened) do port:close() end
  opened = {}
  pump()
end)

describe("ReceivePort", function()
  it("has one send_port, always equal to itself", function()
    local port = new_port()
    assert.is_true(port.send_port == port.send_port)
  end)

  it("takes a name", function()
    local port = new_port("orders")
    port.send_port:send("one")
    assert.equal("one", port:receive(GUARD))
  end)

  describe("receive", function()
    it("loses no message when a timer fails in the same turn", function()
      local port = new_port()
      Isolate.Timer(0, function() error("in the timer", 0) end)
      port.send_port:send("precious")
      local ok, why = pcall(port.receive, port, GUARD)
      assert.same({false, "in the timer"}, {ok, why})
      assert.equal("precious", port:receive(GUARD))
    end)

    it("gives the messages in the order in which they were sent", function()
      local port = new_port()
      send_all(port, "a", "b", "c")
      assert.equal("a", port:receive(GUARD))
      assert.equal("b", port:receive(GUARD))
      assert.equal("c", port:receive(GUARD))
    end)

    it("finds messages that the loop took in before anybody asked", function()
      local port = new_port()
      send_all(port, 1, 2)
      pump()
      send_all(port, 3)
      local got = {port:receive(GUARD), port:receive(GUARD), port:receive(GUARD)}
      assert.same({1, 2, 3}, got)
    end)

    it("returns nil and \"timeout\" when nothing came in time", function()
      assert.same(table.pack(nil, "timeout"), table.pack(new_port():receive(0.01)))
    end)

    it("returns at once with a timeout of zero, with what is there or without", function()
      local port = new_port()
      assert.same(table.pack(nil, "timeout"), table.pack(port:receive(0)))
      port.send_port:send("here")
      assert.same(table.pack("here"), table.pack(port:receive(0)))
    end)

    it("goes on receiving after a timeout", function()
      local port = new_port()
      port:receive(0.01)
      send_all(port, "late", "later")
      assert.equal("late", port:receive(GUARD))
      assert.equal("later", port:receive(GUARD))
    end)

    it("returns nil and \"closed\" from a closed port", function()
      local port = new_port()
      port:close()
      assert.same(table.pack(nil, "closed"), table.pack(port:receive()))
      assert.same(table.pack(nil, "closed"), table.pack(port:receive(0)))
    end)

    it("returns a nil message alone, as one value", function()
      local port = new_port()
      send_all(port, nil, false)
      assert.same(table.pack(nil), table.pack(port:receive(GUARD)))
      assert.same(table.pack(false), table.pack(port:receive(GUARD)))
    end)

    it("returns a table that says \"timeout\" like any other message", function()
      local port = new_port()
      send_all(port, "timeout", "closed")
      assert.same(table.pack("timeout"), table.pack(port:receive(GUARD)))
      assert.same(table.pack("closed"), table.pack(port:receive(GUARD)))
    end)

    it("serves those who wait in the order in which they came", function()
      local port = new_port()
      local log, add = new_log()
      for _, name in ipairs {"first", "second", "third"} do
        Isolate.async(function() add(name .. " got " .. port:receive()) end)
      end
      send_all(port, 1, 2, 3)
      pump()
      assert.same({"first got 1", "second got 2", "third got 3"}, log)
    end)

    it("serves the main chunk after a task that waited before it", function()
      local port = new_port()
      local task = Isolate.async(function() return port:receive() end)
      send_all(port, "for the task", "for the main chunk")
      assert.equal("for the main chunk", port:receive(GUARD))
      assert.equal("for the task", task:await(GUARD))
    end)

    it("gives nothing to a receiver whose time was up", function()
      local port = new_port()
      local hasty = Isolate.async(function() return port:receive(0.01) end)
      local patient = Isolate.async(function() return port:receive() end)
      assert.same(table.pack(nil, "timeout"), table.pack(hasty:await(GUARD)))
      port.send_port:send("letter")
      assert.equal("letter", patient:await(GUARD))
    end)

    it("lets only its own task wait", function()
      local port = new_port()
      local log, add = new_log()
      local task = Isolate.async(function()
        add "asks"
        add(port:receive())
      end)
      add "goes on"
      port.send_port:send("answer")
      task:await(GUARD)
      assert.same({"asks", "goes on", "answer"}, log)
    end)

    it("waits for another isolate", function()
      local port = new_port()
      local answer = Isolate.run(function(out) out:send("from over there") end, port.send_port)
      assert.equal("from over there", port:receive(GUARD))
      answer:await(GUARD)
    end)

    it("ends with nil and \"closed\" for all who wait when the port closes", function()
      local port = new_port()
      local one = Isolate.async(function() return port:receive() end)
      local two = Isolate.async(function() return port:receive(GUARD) end)
      port:close()
      assert.same(table.pack(nil, "closed"), table.pack(one:await(GUARD)))
      assert.same(table.pack(nil, "closed"), table.pack(two:await(GUARD)))
    end)

    it("raises after listen", function()
      local port = new_port()
      port:listen(function() end)
      assert.has_error(function() port:receive(0) end)
    end)
  end)

  describe("listen", function()
    it("hands over what waited before it, then what comes", function()
      local port = new_port()
      local log, add = new_log()
      send_all(port, 1, 2)
      pump()
      send_all(port, 3)
      port:listen(add)
      send_all(port, 4)
      pump()
      assert.same({1, 2, 3, 4}, log)
    end)

    it("returns before its handler is called, for what waited too", function()
      local port = new_port()
      local log, add = new_log()
      local subscription
      send_all(port, 1, 2)
      pump()
      subscription = port:listen(function(message)
        add(message)
        subscription:cancel()
      end)
      assert.same({}, log)
      pump()
      assert.same({1}, log)
    end)

    it("hands over nil and false", function()
      local port = new_port()
      local calls = {}
      port:listen(function(...) calls[#calls + 1] = table.pack(...) end)
      send_all(port, nil, false)
      pump()
      assert.same({table.pack(nil), table.pack(false)}, calls)
    end)

    it("raises the second time", function()
      local port = new_port()
      port:listen(function() end)
      local err = failure(function() port:listen(function() end) end)
      assert.matches("already", err, 1, true)
    end)

    it("raises the second time when the first subscription was cancelled, too", function()
      local port = new_port()
      port:listen(function() end):cancel()
      assert.has_error(function() port:listen(function() end) end)
    end)

    it("calls its handler as a task: the next message does not wait for it to end", function()
      local port = new_port()
      local gate = Isolate.Completer()
      local log, add = new_log()
      port:listen(function(message)
        add(message .. " begins")
        if message == "slow" then gate.future:await() end
        add(message .. " ends")
      end)
      send_all(port, "slow", "quick")
      pump()
      assert.same({"slow begins", "quick begins", "quick ends"}, log)
      gate:complete()
      pump()
      assert.equal("slow ends", log[4])
    end)

    it("calls on_done once, after the port was closed", function()
      local port = new_port()
      local log, add = new_log()
      port:listen(add, {on_done = function() add "done" end})
      send_all(port, 1)
      pump()
      port:close()
      port:close()
      pump()
      assert.same({1, "done"}, log)
    end)

    it("calls on_done when the handler closes the port, and drops what was behind", function()
      local port = new_port()
      local log, add = new_log()
      port:listen(function(message)
        add(message)
        if message == 2 then port:close() end
      end, {on_done = function() add "done" end})
      send_all(port, 1, 2, 3, 4)
      pump()
      assert.same({1, 2, "done"}, log)
    end)
  end)

  describe("subscription", function()
    it("closes the port when it is cancelled", function()
      local port = new_port()
      local log, add = new_log()
      local subscription = port:listen(add)
      send_all(port, 1)
      pump()
      send_all(port, 2)
      subscription:cancel()
      send_all(port, 3)
      pump()
      assert.same({1}, log)
      assert.has_no.errors(function() subscription:cancel() end)
    end)

    it("keeps messages back while it is paused, in order", function()
      local port = new_port()
      local log, add = new_log()
      local subscription = port:listen(add)
      send_all(port, 1)
      pump()
      subscription:pause()
      send_all(port, 2, 3)
      pump()
      assert.same({1}, log)
      subscription:resume()
      send_all(port, 4)
      pump()
      assert.same({1, 2, 3, 4}, log)
    end)

    it("can be paused by the handler, between two messages", function()
      local port = new_port()
      local log, add = new_log()
      local subscription
      subscription = port:listen(function(message)
        add(message)
        subscription:pause()
      end)
      send_all(port, 1, 2, 3)
      pump()
      assert.same({1}, log)
      subscription:resume()
      pump()
      assert.same({1, 2}, log)
    end)
  end)

  describe("first", function()
    it("is the first message, whether it waits already or comes later", function()
      local early, late = new_port(), new_port()
      send_all(early, "waits already")
      pump()
      assert.equal("waits already", early:first():await(GUARD))
      local future = late:first()
      send_all(late, "comes later")
      assert.equal("comes later", future:await(GUARD))
    end)

    it("closes the port after it", function()
      local port = new_port()
      send_all(port, "one", "two")
      assert.equal("one", port:first():await(GUARD))
      assert.same(table.pack(nil, "closed"), table.pack(port:receive()))
    end)

    it("is one value for a nil message", function()
      local port = new_port()
      send_all(port, nil)
      assert.same(table.pack(nil), table.pack(port:first():await(GUARD)))
    end)

    it("lets the loop end once it has come", function()
      local port = new_port()
      local future = port:first()
      send_all(port, "only")
      Isolate.loop()
      assert.is_true(future:is_done())
      assert.equal("only", future:await())
    end)

    it("fails when the port closes before a message came", function()
      local port = new_port()
      local future = port:first()
      port:close()
      pump()
      assert.is_true(future:is_done())
      assert.has_error(function() future:await() end)
    end)

    it("raises after listen", function()
      local port = new_port()
      port:listen(function() end)
      assert.has_error(function() port:first():await(0) end)
    end)
  end)

  describe("messages", function()
    it("counts from 1, so that nil messages pass", function()
      local port = new_port()
      local log, add = new_log()
      send_all(port, "a", nil, false, nil, "e")
      for i, message in port:messages() do
        add(i .. " " .. tostring(message))
        if i == 5 then break end
      end
      assert.same({"1 a", "2 nil", "3 false", "4 nil", "5 e"}, log)
    end)

    it("leaves the port open when the loop is left, with what was not read", function()
      local port = new_port()
      local log, add = new_log()
      send_all(port, "a", "b", "c", "d")
      for i, message in port:messages() do
        add(i .. " " .. message)
        if i == 2 then break end
      end
      add(port:receive(GUARD))
      for i, message in port:messages() do
        add(i .. " " .. message)
        if message == "d" then break end
      end
      send_all(port, "e")
      add(port:receive(GUARD))
      assert.same({"1 a", "2 b", "c", "1 d", "e"}, log)
    end)

    it("ends when the port closes, and drops what was queued", function()
      local port = new_port()
      local log, add = new_log()
      send_all(port, 1, 2, 3)
      for i, message in port:messages() do
        add(message)
        if i == 2 then port:close() end
      end
      assert.same({1, 2}, log)
    end)

    it("ends when somebody else closes the port while it waits", function()
      local port = new_port()
      local log, add = new_log()
      local task = Isolate.async(function()
        for _, message in port:messages() do add(message) end
        add "the end"
      end)
      send_all(port, 1)
      pump()
      assert.same({1}, log)
      port:close()
      task:await(GUARD)
      assert.same({1, "the end"}, log)
    end)

    it("does nothing for a port that is closed already", function()
      local port = new_port()
      send_all(port, 1)
      port:close()
      for _ in port:messages() do error("a message came") end
    end)

    it("shares the messages among loops in two tasks, in turns", function()
      local port = new_port()
      local log, add = new_log()
      for _, name in ipairs {"left", "right"} do
        Isolate.async(function()
          for i, message in port:messages() do add(name .. " " .. i .. ": " .. message) end
        end)
      end
      for i = 1, 4 do
        send_all(port, i)
        pump()
      end
      assert.same({"left 1: 1", "right 1: 2", "left 2: 3", "right 2: 4"}, log)
    end)
  end)

  describe("close", function()
    it("drops the messages that were queued", function()
      local port = new_port()
      local log, add = new_log()
      port:listen(add)
      send_all(port, 1, 2)
      port:close()
      pump()
      assert.same({}, log)
    end)

    it("drops the messages that waited in the port", function()
      local port = new_port()
      send_all(port, 1, 2)
      pump()
      port:close()
      assert.same(table.pack(nil, "closed"), table.pack(port:receive(0)))
    end)

    it("may be called twice", function()
      local port = new_port()
      port:close()
      assert.has_no.errors(function() port:close() end)
    end)

    it("comes by itself at the end of a block with <close>", function()
      local out, sender
      do
        local port <close> = Isolate.ReceivePort()
        sender = port.send_port
        out = port
        sender:send("dropped")
      end
      assert.same(table.pack(nil, "closed"), table.pack(out:receive()))
      assert.has_no.errors(function() sender:send("nobody hears") end)
    end)

    it("comes by itself when a block with <close> is left by an error", function()
      local out
      local ok = pcall(function()
        local port <close> = Isolate.ReceivePort()
        out = port
        error("out of here")
      end)
      assert.is_false(ok)
      assert.same(table.pack(nil, "closed"), table.pack(out:receive()))
    end)

    -- Without memory a port stayed open: a field's name was made anew.
    it("needs no memory", function()
      local used = Isolate.run(function()
        local function deep(n) return n > 0 and 1 + deep(n - 1) or 0 end
        local ports = {}
        for i = 1, 2 do ports[i] = Isolate.ReceivePort() end
        ports[1]:close()
        collectgarbage()
        collectgarbage "stop"
        deep(20)  -- room to call in
        local before = collectgarbage "count"
        ports[2]:close()
        return (collectgarbage "count" - before) * 1024
      end):await(GUARD)
      assert.equal(0, used)
    end)

    -- That object is older than the library's own, which is gone when it is finalized: the
    -- program crashed.
    it("is harmless in a finalizer at the program's very end", function()
      local result = helper.lua [[
        local port
        Kept = setmetatable({}, { __gc = function()
          port:close()
          print(port.closed, select(2, pcall(port.receive, port)))
        end })
        local Isolate = require "isolate"
        port = Isolate.ReceivePort()
        Isolate.names.register("a name", port.send_port)
      ]]
      assert.equal("true\tisolate: this Lua state is closing\n", result.stdout)
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
    end)
  end)

  it("stays open until closed, even if nobody refers to it any more", function()
    local log, add = new_log()
    local sender
    do
      local port = Isolate.ReceivePort()
      port:listen(function(message)
        add(message)
        port:close()
      end)
      sender = port.send_port
    end
    collectgarbage()
    collectgarbage()
    sender:send("still there")
    pump()
    assert.same({"still there"}, log)
  end)

  it("keeps its messages through a collection", function()
    local port = new_port()
    send_all(port, {1, {2}}, "text")
    pump()
    collectgarbage()
    collectgarbage()
    assert.same({1, {2}}, port:receive(GUARD))
    assert.equal("text", port:receive(GUARD))
  end)
end)

describe("RawReceivePort", function()
  it("calls its handler with each message", function()
    local log, add = new_log()
    local raw = new_raw(add)
    send_all(raw, "a", "b")
    pump()
    assert.same({"a", "b"}, log)
  end)

  it("hands over nil as one value", function()
    local calls = {}
    local raw = new_raw(function(...) calls[#calls + 1] = table.pack(...) end)
    send_all(raw, nil)
    pump()
    assert.same({table.pack(nil)}, calls)
  end)

  it("loses a message that finds no handler", function()
    local log, add = new_log()
    local raw = new_raw()
    send_all(raw, "lost")
    pump()
    raw.handler = add
    send_all(raw, "heard")
    pump()
    assert.same({"heard"}, log)
  end)

  it("needs its handler only when a message is handled, not when it is sent", function()
    local log, add = new_log()
    local raw = new_raw()
    send_all(raw, "in time")
    raw.handler = add
    pump()
    assert.same({"in time"}, log)
  end)

  it("takes another handler at any time, in the handler too", function()
    local log, add = new_log()
    local raw = new_raw()
    raw.handler = function(message)
      add("one " .. message)
      raw.handler = function(other) add("two " .. other) end
    end
    send_all(raw, 1, 2, 3)
    pump()
    assert.same({"one 1", "two 2", "two 3"}, log)
  end)

  it("loses messages again when its handler is taken away", function()
    local log, add = new_log()
    local raw = new_raw(add)
    send_all(raw, 1)
    pump()
    raw.handler = nil
    send_all(raw, 2)
    pump()
    raw.handler = add
    send_all(raw, 3)
    pump()
    assert.same({1, 3}, log)
  end)

  it("calls its handler as a task", function()
    local gate = Isolate.Completer()
    local log, add = new_log()
    local raw = new_raw(function(message)
      if message == "slow" then gate.future:await() end
      add(message)
    end)
    send_all(raw, "slow", "quick")
    pump()
    gate:complete()
    pump()
    assert.same({"quick", "slow"}, log)
  end)

  it("calls no handler after close, which may be called twice", function()
    local log, add = new_log()
    local raw = new_raw(add)
    send_all(raw, "queued")
    raw:close()
    raw:close()
    send_all(raw, "sent after it")
    pump()
    assert.same({}, log)
  end)

  it("can be closed by its handler", function()
    local log, add = new_log()
    local raw
    raw = new_raw(function(message)
      add(message)
      raw:close()
    end)
    send_all(raw, 1, 2)
    Isolate.loop()
    assert.same({1}, log)
  end)

  it("keeps its isolate alive unless keep_alive is false", function()
    local raw = new_raw(function() end)
    assert.is_true(raw.keep_alive)
    raw.keep_alive = false
    assert.is_false(raw.keep_alive)
    Isolate.loop()
  end)

  it("hears messages without keep_alive, as long as the loop runs", function()
    local log, add = new_log()
    local raw = new_raw(add)
    raw.keep_alive = false
    send_all(raw, "heard")
    pump()
    assert.same({"heard"}, log)
  end)

  it("keeps its isolate alive again when keep_alive is set again", function()
    local log, add = new_log()
    local raw
    raw = new_raw(function(message)
      add(message)
      raw:close()
    end)
    raw.keep_alive = false
    raw.keep_alive = true
    local answer = Isolate.run(function(out) out:send("awaited") end, raw.send_port)
    Isolate.loop()
    assert.same({"awaited"}, log)
    answer:await(GUARD)
  end)
end)

describe("ReceivePort.from_raw", function()
  it("takes a raw port over in mid-life and loses no later message", function()
    local log, add = new_log()
    local raw = new_raw(function(message) add("raw " .. message) end)
    send_all(raw, 1)
    pump()
    send_all(raw, 2)                       -- still in the queue
    local port = keep(Isolate.ReceivePort.from_raw(raw))
    send_all(raw, 3)
    pump()
    assert.equal(2, port:receive(GUARD))
    assert.equal(3, port:receive(GUARD))
    assert.same({"raw 1"}, log)
  end)

  it("keeps the send_port", function()
    local raw = new_raw()
    local sender = raw.send_port
    local port = keep(Isolate.ReceivePort.from_raw(raw))
    assert.is_true(port.send_port == sender)
    sender:send("to the old address")
    assert.equal("to the old address", port:receive(GUARD))
  end)

  it("takes over inside the handler", function()
    local log, add = new_log()
    local raw
    raw = new_raw(function(message)
      add("raw " .. message)
      keep(Isolate.ReceivePort.from_raw(raw)):listen(function(other) add("port " .. other) end)
    end)
    send_all(raw, 1, 2, 3)
    pump()
    assert.same({"raw 1", "port 2", "port 3"}, log)
  end)

  it("closes the raw port with the new one", function()
    local raw = new_raw()
    local port = keep(Isolate.ReceivePort.from_raw(raw))
    port:close()
    Isolate.loop()
    assert.same(table.pack(nil, "closed"), table.pack(port:receive()))
  end)
end)

describe("SendPort", function()
  it("differs from another port's", function()
    local a, b = new_port(), new_port()
    assert.is_false(a.send_port == b.send_port)
  end)

  it("is equal to itself after a way through another isolate", function()
    local a, b = new_port(), new_port()
    local back = Isolate.run(function(port) return port end, a.send_port):await(GUARD)
    assert.is_true(back == a.send_port)
    assert.is_false(back == b.send_port)
    back:send("home")
    assert.equal("home", a:receive(GUARD))
  end)

  it("is the same key wherever it was", function()
    local a, b = new_port(), new_port()
    local names = {[a.send_port] = "a", [b.send_port] = "b"}
    local two, one = Isolate.run(function(x, y) return y, x end, a.send_port, b.send_port):await(GUARD)
    assert.equal("a", names[one])
    assert.equal("b", names[two])
  end)

  it("is the same key in the isolate that got it, message for message", function()
    local out, a, b = new_port(), new_port(), new_port()
    local counted = Isolate.run(function(back)
      local inbox = Isolate.ReceivePort()
      back:send(inbox.send_port)
      local seen = {}
      for i, port in inbox:messages() do
        seen[port] = (seen[port] or 0) + 1
        if i == 3 then inbox:close() end
      end
      local counts = {}
      for _, count in pairs(seen) do counts[#counts + 1] = count end
      table.sort(counts)
      return counts
    end, out.send_port)
    local there = out:receive(GUARD)
    there:send(a.send_port)
    there:send(b.send_port)
    there:send(a.send_port)
    assert.same({1, 2}, counted:await(GUARD))
  end)

  it("is the same key after a collection, when only the table held it", function()
    local port, box = new_port(), new_port()
    local marks = {[port.send_port] = "mine"}
    collectgarbage()
    collectgarbage()
    box.send_port:send(port.send_port)
    assert.equal("mine", marks[box:receive(GUARD)])
  end)

  it("is a key of a table that is sent", function()
    local port, box = new_port(), new_port()
    box.send_port:send({[port.send_port] = "value"})
    assert.equal("value", box:receive(GUARD)[port.send_port])
  end)

  it("says what it is", function()
    assert.matches("^isolate%.SendPort: ", tostring(new_port().send_port))
  end)

  describe("send", function()
    it("never blocks and keeps the order, however many messages wait", function()
      local port = new_port()
      for i = 1, 20000 do port.send_port:send(i) end
      for i = 1, 20000 do
        local got = port:receive(GUARD)
        if got ~= i then assert.equal(i, got) end
      end
      assert.same(table.pack(nil, "timeout"), table.pack(port:receive(0)))
    end)

    it("is silently dropped by a closed port", function()
      local port = new_port()
      port:close()
      assert.has_no.errors(function() port.send_port:send({"anything"}) end)
      pump()
      assert.same(table.pack(nil, "closed"), table.pack(port:receive(0)))
    end)

    it("is silently dropped by a port whose isolate has ended", function()
      local orphan = Isolate.run(function()
        return Isolate.ReceivePort().send_port
      end):await(GUARD)
      for _ = 1, 100 do
        assert.has_no.errors(function() orphan:send({"anything"}) end)
      end
    end)

    it("raises for what cannot be sent even when the port is closed", function()
      local port = new_port()
      port:close()
      local err = failure(function() port.send_port:send(coroutine.create(print)) end)
      assert.matches("cannot send message: a coroutine stays in its isolate", err, 1, true)
    end)

    it("copies at the moment of the call", function()
      local port = new_port()
      local message = {1, inner = {2}}
      port.send_port:send(message)
      message[1], message.inner[1], message.more = "changed", "changed", true
      assert.same({1, inner = {2}}, port:receive(GUARD))
    end)

    it("copies within one isolate, too, and once per call", function()
      local port = new_port()
      local message = {}
      send_all(port, message, message)
      local one, two = port:receive(GUARD), port:receive(GUARD)
      assert.is_false(rawequal(one, message))
      assert.is_false(rawequal(one, two))
    end)

    it("keeps what is shared within one message shared", function()
      local port = new_port()
      local part = {}
      local whole = {part, part}
      whole.whole = whole
      port.send_port:send(whole)
      local got = port:receive(GUARD)
      assert.is_true(rawequal(got[1], got[2]))
      assert.is_true(rawequal(got.whole, got))
    end)

    it("raises for what cannot be sent, and names the path to it", function()
      local port = new_port()
      local sender = port.send_port
      local stuck = coroutine.create(print)
      local cases = {
        {stuck, "cannot send message: a coroutine stays in its isolate"},
        {{jobs = {1, 2, {callback = stuck}}},
          "cannot send message.jobs[3].callback: a coroutine stays in its isolate"},
        {{["two words"] = {stuck}},
          "cannot send message[\"two words\"][1]: a coroutine stays in its isolate"},
        {{work = function() return stuck end},
          "cannot send message.work.upvalue 'stuck': a coroutine stays in its isolate"},
        {setmetatable({}, {note = stuck}),
          "cannot send message.metatable.note: a coroutine stays in its isolate"},
        {{log = io.stderr}, "cannot send message.log: an open file stays in its isolate"},
        {{inbox = port}, "cannot send message.inbox: "},
        {{later = Isolate.Future.value(1)}, "cannot send message.later: "},
        {{box = setmetatable({}, {__gc = function() end})}, "cannot send message.box: "},
        {{box = setmetatable({}, {__close = function() end})}, "cannot send message.box: "},
        {{no = setmetatable({}, {__transfer = false})}, "cannot send message.no: "},
      }
      for _, case in ipairs(cases) do
        local err = failure(function() sender:send(case[1]) end)
        assert.matches(case[2], err, 1, true)
      end
      pump()
      assert.same(table.pack(nil, "timeout"), table.pack(port:receive(0)))
    end)

    it("sends a Timer as little as a Future", function()
      local port = new_port()
      local timer = Isolate.Timer(3600, function() end)
      local err = failure(function() port.send_port:send({every = timer}) end)
      timer:cancel()
      assert.matches("cannot send message.every: ", err, 1, true)
    end)

    it("sends nothing unless all of it can be sent", function()
      local port = new_port()
      send_all(port, "before")
      failure(function() port.send_port:send({"good", coroutine.create(print)}) end)
      send_all(port, "after")
      assert.equal("before", port:receive(GUARD))
      assert.equal("after", port:receive(GUARD))
    end)
  end)
end)

-- malloc gave the memory of each back to the system, which made all its pages anew for the next: 100 KB there and back
-- took 17 of them and more, and eight times as long. (A sanitizer has a malloc of its own.)
if helper.slow == 1 then
  it("Messages of 100 KB use the memory of those before", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local function faults()
        local file <close> = io.open "/proc/self/stat"
        return tonumber(file:read "a":match "%) %a %S+ %S+ %S+ %S+ %S+ %S+ (%d+)")
      end
      local port = Isolate.ReceivePort()
      Isolate.spawn(function(reply)
        local inbox = Isolate.ReceivePort()
        reply:send(inbox.send_port)
        for _, message in inbox:messages() do reply:send(message) end
      end, port.send_port)
      local other, text, before = port:receive(), ("x"):rep(100000)
      for i = -100, 200 do
        if i == 0 then before = faults() end
        other:send(text)
        assert(port:receive() == text)
      end
      print((faults() - before) // 200)
      os.exit(true, true)
    ]]
    assert.equal("", result.stderr)
    assert.is_true(tonumber(result.stdout) < 8, "pages a message: " .. result.stdout)
  end)
end

describe("Capability", function()
  it("is equal to itself and to no other", function()
    local a, b = Isolate.Capability(), Isolate.Capability()
    assert.is_true(a == a)
    assert.is_false(a == b)
  end)

  it("is equal to itself wherever it has been", function()
    local box = new_port()
    local mine, other = Isolate.Capability(), Isolate.Capability()
    box.send_port:send(mine)
    local near = box:receive(GUARD)
    local far = Isolate.run(function(token) return token end, mine):await(GUARD)
    assert.is_true(near == mine)
    assert.is_true(far == mine)
    assert.is_true(near == far)
    assert.is_false(far == other)
  end)

  it("is known again in another isolate", function()
    local token = Isolate.Capability()
    local same, different = Isolate.run(function(a, b, c)
      return a == b, a == c
    end, token, token, Isolate.Capability()):await(GUARD)
    assert.is_true(same)
    assert.is_false(different)
  end)

  it("is the same key wherever it has been", function()
    local token = Isolate.Capability()
    local rooms = {[token] = "open"}
    local back = Isolate.run(function(one) return one end, token):await(GUARD)
    assert.equal("open", rooms[back])
    assert.is_nil(rooms[Isolate.Capability()])
  end)

  it("made over there is equal to itself here", function()
    local one, two = Isolate.run(function()
      local token = Isolate.Capability()
      return token, {token}
    end):await(GUARD)
    assert.is_true(one == two[1])
  end)
end)

describe("One queue per isolate", function()
  it("handles messages in the order in which they arrived, over all its ports", function()
    local log, add = new_log()
    local ports = {}
    for _, name in ipairs {"a", "b"} do
      ports[name] = new_port()
      ports[name]:listen(function(message) add(name .. message) end)
    end
    ports.raw = new_raw(function(message) add("raw" .. message) end)
    local expected = {}
    for i = 1, 30 do
      for _, name in ipairs {"b", "raw", "a", "a"} do
        ports[name].send_port:send(i)
        expected[#expected + 1] = name .. i
      end
    end
    pump()
    assert.same(expected, log)
  end)

  it("hands a message to who asks for it after those that came before it", function()
    local log, add = new_log()
    local heard, asked = new_port(), new_port()
    heard:listen(add)
    heard.send_port:send("heard")
    asked.send_port:send("asked")
    add(asked:receive(GUARD))
    assert.same({"heard", "asked"}, log)
  end)

  -- Who asks for a message that is there takes it without a turn of the loop: all
  -- that a turn would do before must not wait for that.
  describe("with a task that always finds another message", function()
    local stop, port, turned

    -- The task sends itself what it receives, until it is to stop, or some turns at most.
    local function circle(on_turn)
      stop, port, turned = false, new_port(), 0
      port.send_port:send(true)
      return Isolate.async(function()
        repeat
          port.send_port:send(port:receive())
          turned = turned + 1
          if on_turn then on_turn() end
        until stop or turned == 100000
        return turned
      end)
    end

    it("fires its timers", function()
      Isolate.Timer(0.01, function() stop = true end)
      assert.is_true(circle():await(GUARD) < 100000)
    end)

    it("lets other tasks go on", function()
      local gate = Isolate.Completer()
      Isolate.async(function()
        gate.future:await()
        stop = true
      end)
      local task = circle(function() if turned == 5 then gate:complete() end end)
      assert.is_true(task:await(GUARD) < 100000)
    end)

    it("lets the main chunk go on when it has what it waited for", function()
      local gate = Isolate.Completer()
      local task = circle(function() if turned == 5 then gate:complete() end end)
      gate.future:await(GUARD)
      assert.is_true(turned < 100000)
      stop = true
      task:await(GUARD)
    end)

    it("lets who started it go on first", function()
      local log, add = new_log()
      Isolate.async(function()
        Isolate.sleep(0)  -- from here on the loop runs
        local task = circle(function() if turned == 1 then add("turn") end end)
        add("started")
        stop = true
        task:await(GUARD)
      end):await(GUARD)
      assert.same({"started", "turn"}, log)
    end)

    it("comes back from a step", function()
      local task = circle()
      for _ = 1, 5 do Isolate.step() end
      assert.is_true(turned < 100)
      stop = true
      task:await(GUARD)
    end)

    it("can be paused and killed", function()
      local ready = new_port()
      local iso = Isolate.spawn(function(reply)
        local inner = Isolate.ReceivePort()
        inner.send_port:send(1)
        for i, message in inner:messages() do
          inner.send_port:send(message)
          if i == 1000 then reply:send("turns") end
        end
      end, ready.send_port)
      assert.equal("turns", ready:receive(GUARD))
      local held = iso:pause()
      iso:ping(ready.send_port, "held", Isolate.immediate)
      assert.equal("held", ready:receive(GUARD))
      iso:resume(held)
      iso:kill()
      assert.is_true(iso:join(GUARD))
    end)
  end)

  it("keeps the order of one sender over several ports, its answer last", function()
    local log, add = new_log()
    local a, b, c = new_port(), new_port(), new_port()
    for _, port in ipairs {a, b, c} do port:listen(add) end
    local answer = Isolate.run(function(x, y, z)
      for i = 1, 300, 3 do
        x:send(i)
        y:send(i + 1)
        z:send(i + 2)
      end
      return "all sent"
    end, c.send_port, a.send_port, b.send_port):next(add)
    answer:await(GUARD)
    local expected = {}
    for i = 1, 300 do expected[i] = i end
    expected[301] = "all sent"
    assert.same(expected, log)
  end)

  it("keeps the order of each of several senders, and loses nothing", function()
    local port = new_port()
    local last = {}
    port:listen(function(message)
      local name, i = message[1], message[2]
      if i ~= (last[name] or 0) + 1 then error(name .. " sent " .. i .. " out of order") end
      last[name] = i
    end)
    local senders = {}
    for _, name in ipairs {"one", "two", "three"} do
      senders[#senders + 1] = Isolate.run(function(out, me)
        for i = 1, 500 do out:send({me, i}) end
      end, port.send_port, name)
    end
    Isolate.Future.all(senders):await(GUARD)
    assert.same({one = 500, two = 500, three = 500}, last)
  end)

  it("holds small messages up behind a large one that came before them", function()
    local big, small = new_port(), new_port()
    local log, add = new_log()
    big:listen(function(message) add("large " .. #message) end)
    small:listen(function(message) add("small " .. message) end)
    local list = {}
    for i = 1, 100000 do list[i] = {i} end
    big.send_port:send(list)
    small.send_port:send(1)
    for _ = 1, 100000 do
      if #log == 2 then break end
      Isolate.step(0.01)
    end
    assert.same({"large 100000", "small 1"}, log)
  end)

  it("carries a conversation between two isolates", function()
    local port = new_port()
    local partner = Isolate.run(function(out)
      local inbox <close> = Isolate.ReceivePort()
      out:send(inbox.send_port)
      for _, message in inbox:messages() do
        if message == "stop" then break end
        out:send(message * 2)
      end
      return "stopped"
    end, port.send_port)
    local there = port:receive(GUARD)
    local value = 1
    for _ = 1, 10 do
      there:send(value)
      value = port:receive(GUARD)
    end
    there:send("stop")
    assert.equal(1024, value)
    assert.equal("stopped", partner:await(GUARD))
  end)
end)
