-- Isolate.Broadcast: what is sent under a name is heard by all who listen to it
-- in any isolate, as Isar's watchers are (E12, D13).

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local turns  = require "spec.support.turns"

local pump, new_log, failure, keep = turns.pump, turns.new_log, turns.failure, alone.keep
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

local function new(name) return keep(Isolate.Broadcast(name or "news")) end

-- A listener in a new isolate; it sends what it hears to 'port', and ends at
-- "stop". Returns its handle.
local function listen_there(port, name)
  local iso = Isolate.spawn(function(message)
    local news = Isolate.Broadcast(message.name)
    news:listen(function(v)
      message.to:send { message.name, v }
      if v == "stop" then news:close() end
    end)
    message.to:send "listening"
  end, { to = port.send_port, name = name or "news" })
  assert.equal("listening", port:receive(GUARD))
  return iso
end

-- One that tells of nothing that it hears.
local function listen_there_quietly(port)
  local iso = Isolate.spawn(function(to)
    Isolate.Broadcast "news":listen(function() end)
    to:send "listening"
  end, port.send_port)
  assert.equal("listening", port:receive(GUARD))
  return iso
end

describe("E12: a Broadcast", function()
  it("is heard by its sender's own listeners", function()
    local news, log, add = new(), new_log()
    news:listen(add)
    news:send "hello"
    assert.same({}, log)                                -- later, as an event
    pump()
    assert.same({ "hello" }, log)
  end)

  it("is heard once by each listener, in the order sent", function()
    local news, log, add = new(), new_log()
    news:listen(function(v) add("a" .. v) end)
    news:listen(function(v) add("b" .. v) end)
    for i = 1, 3 do news:send(i) end
    pump()
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, log)
  end)

  it("is heard through every object of the same name", function()
    local log, add = new_log()
    new():listen(add)
    new():send(1)
    pump()
    assert.same({ 1 }, log)
  end)

  it("is not heard under another name", function()
    local log, add = new_log()
    new "one":listen(add)
    new "other":send(1)
    new "":send(2)
    new "one\0":send(3)
    pump()
    assert.same({}, log)
  end)

  it("carries nil and false, one value", function()
    local news, got = new(), {}
    news:listen(function(...) got[#got + 1] = table.pack(...) end)
    news:send()
    news:send(false)
    pump()
    assert.same({ table.pack(nil), table.pack(false) }, got)
  end)

  it("gives each listener a copy", function()
    local news, got, list = new(), {}, { 1 }
    for i = 1, 2 do news:listen(function(v) got[i] = v end) end
    news:send(list)
    list[1] = 2
    pump()
    assert.same({ { 1 }, { 1 } }, got)
    assert.not_equal(got[1], got[2])
  end)

  it("is heard in many isolates, each message once and in order", function()
    local port, n, count = keep(Isolate.ReceivePort()), 3, 20
    local isolates = {}
    for i = 1, n do isolates[i] = listen_there(port) end
    local news = new()
    for i = 1, count do news:send(i) end
    news:send "stop"
    local heard = {}
    for _ = 1, n * (count + 1) do
      local v = port:receive(GUARD)[2]
      heard[v] = (heard[v] or 0) + 1
    end
    for i = 1, count do assert.equal(n, heard[i]) end
    for i = 1, n do assert.is_true(isolates[i]:join(GUARD)) end
  end)

  it("is sent from a spawned isolate (D13: writes are watched from the main one)", function()
    local log, add = new_log()
    new "messages":listen(add)
    Isolate.run(function()
      Isolate.Broadcast "messages":send "omg the messages changed!"
    end):await(GUARD)
    pump()
    assert.same({ "omg the messages changed!" }, log)
  end)

  it("keeps the order of each of several senders", function()
    local news, last, senders = new(), {}, {}
    local total = 0
    news:listen(function(v)
      assert.equal((last[v.from] or 0) + 1, v.n)
      last[v.from], total = v.n, total + 1
    end)
    for from = 1, 3 do
      senders[from] = Isolate.run(function()
        local b = Isolate.Broadcast "news"
        for n = 1, 50 do b:send { from = from, n = n } end
      end)
    end
    for from = 1, 3 do senders[from]:await(GUARD) end
    helper.eventually(function() return total == 150 end, GUARD, pump)
    assert.same({ 50, 50, 50 }, last)
  end)

  it("sent to nobody is gone", function()
    local news, log, add = new(), new_log()
    news:send "early"
    news:listen(add)
    pump()
    assert.same({}, log)
  end)

  it("takes a listener that comes in a listener, from the next message on", function()
    local news, log, add = new(), new_log()
    local once
    news:listen(function(v)
      add("a" .. v)
      if not once then
        once = true
        news:listen(function(w) add("b" .. w) end)
      end
    end)
    news:send(1)
    pump()
    news:send(2)
    pump()
    assert.same({ "a1", "a2", "b2" }, log)
  end)

  it("is answered by a broadcast from a listener", function()
    local news, log, add = new(), new_log()
    news:listen(function(v)
      add(v)
      if v < 3 then news:send(v + 1) end
    end)
    news:send(1)
    pump()
    assert.same({ 1, 2, 3 }, log)
  end)

  it("runs its listeners as tasks", function()
    local news, log, add = new(), new_log()
    local gate = Isolate.Completer()
    news:listen(function(v)
      if v == 1 then gate.future:await() end
      add(v)
    end)
    news:send(1)
    news:send(2)
    pump()
    assert.same({ 2 }, log)
    gate:complete()
    pump()
    assert.same({ 2, 1 }, log)
  end)

  it("makes an error of a listener uncaught, and goes on for the others", function()
    local news, log, add = new(), new_log()
    news:listen(function() error("mine", 0) end)
    news:listen(add)
    news:send(1)
    assert.equal("mine", failure(pump))
    pump()
    assert.same({ 1 }, log)
  end)
end)

describe("E12: a listener of a Broadcast", function()
  it("hears nothing after cancel, not even what was sent before", function()
    local news, log, add = new(), new_log()
    local subscription = news:listen(add)
    news:send(1)
    pump()
    news:send(2)
    subscription:cancel()
    news:send(3)
    pump()
    assert.same({ 1 }, log)
    subscription:cancel()
  end)

  it("leaves the others alone when it goes", function()
    local news, log, add = new(), new_log()
    news:listen(function(v) add("a" .. v) end)
    local other = news:listen(function(v) add("b" .. v) end)
    other:cancel()
    news:send(1)
    pump()
    assert.same({ "a1" }, log)
  end)

  it("is paused and resumed like any subscription", function()
    local news, log, add = new(), new_log()
    local subscription = news:listen(add)
    subscription:pause()
    news:send(1)
    pump()
    assert.same({}, log)
    subscription:resume()
    pump()
    assert.same({ 1 }, log)
  end)

  it("keeps its isolate alive until it is cancelled", function()
    local port = keep(Isolate.ReceivePort())
    local iso = listen_there(port)
    assert.same({ nil, "timeout" }, { iso:join(0.02) })
    new():send "stop"
    assert.is_true(iso:join(GUARD))
  end)

  it("is gone when its isolate is dead, however it died", function()
    local port = keep(Isolate.ReceivePort())
    local iso = listen_there(port)
    iso:kill(Isolate.immediate)
    assert.is_true(iso:join(GUARD))
    local news, log, add = new(), new_log()
    news:listen(add)
    news:send "to the living"
    pump()
    assert.same({ "to the living" }, log)
    assert.same({ nil, "timeout" }, { port:receive(0) })
  end)
end)

describe("E12: listeners that come and go while others send", function()
  it("disturb nobody: who stays hears every message once, in order", function()
    local port, news, last = keep(Isolate.ReceivePort()), new(), 0
    news:listen(function(v)
      assert.equal(last + 1, v)
      last = v
    end)
    local sender = Isolate.run(function()
      local b = Isolate.Broadcast "news"
      for i = 1, 400 do
        b:send(i)
        if i % 40 == 0 then Isolate.sleep(0.001) end
      end
    end)
    local others = {}
    for i = 1, 8 do
      others[i] = listen_there_quietly(port)
      if i % 2 == 0 then others[i]:kill(Isolate.immediate) end
    end
    sender:await(GUARD)
    helper.eventually(function() return last == 400 end, GUARD, pump)
    assert.equal(400, last)
    for _, iso in ipairs(others) do
      iso:kill()
      assert.is_true(iso:join(GUARD))
    end
  end)
end)

describe("E12: a Broadcast of what cannot be sent", function()
  it("raises, and nobody hears anything", function()
    local news, log, add = new(), new_log()
    local port = keep(Isolate.ReceivePort())
    local iso = listen_there(port)
    news:listen(add)
    assert.truthy(failure(news.send, news, { f = io.stdout }):find(
      "cannot send message.f: an open file stays in its isolate", 1, true))
    pump()
    assert.same({}, log)
    news:send "stop"
    assert.same({ "news", "stop" }, port:receive(GUARD))  -- the first that it heard
    assert.is_true(iso:join(GUARD))
  end)

  it("raises though nobody listens", function()
    assert.is_false(pcall(new().send, new(), io.stdout))
  end)

  it("runs a __transfer once, however many listen", function()
    local news, calls, got = new(), 0, {}
    local value = setmetatable({}, { __transfer = function()
      calls = calls + 1
      return function(n) return { made = n } end, 7
    end })
    for i = 1, 3 do news:listen(function(v) got[i] = v end) end
    news:send(value)
    pump()
    assert.equal(1, calls)
    assert.same({ { made = 7 }, { made = 7 }, { made = 7 } }, got)
  end)

  it("is an uncaught error of the listener that cannot build it, with the name", function()
    local news = new "strange"
    news:listen(print)
    news:send(setmetatable({}, { __transfer = function()
      return function() error("no such thing", 0) end
    end }))
    local why = failure(pump)
    assert.truthy(why:find("a message to port 'strange' could not be received: no such thing", 1, true))
  end)
end)

describe("E12: a Broadcast object", function()
  it("can be sent, and speaks there under its name", function()
    local news, log, add = new(), new_log()
    news:listen(add)
    local back = Isolate.run(function(b)
      b:send(b.name)
      return b
    end, news):await(GUARD)
    pump()
    assert.same({ "news" }, log)
    assert.equal("news", back.name)
    back:send "from the copy"
    pump()
    assert.same({ "news", "from the copy" }, log)
  end)

  it("cancels its own listeners when it is closed, twice if you like", function()
    local news, other, log, add = new(), new(), new_log()
    news:listen(function(v) add("a" .. v) end)
    news:listen(function(v) add("b" .. v) end)
    other:listen(function(v) add("other" .. v) end)
    news:close()
    news:close()
    other:send(1)
    pump()
    assert.same({ "other1" }, log)
  end)

  it("is of no use after close", function()
    local news = new()
    news:close()
    assert.truthy(failure(news.send, news, 1):find("this Broadcast is closed", 1, true))
    assert.truthy(failure(news.listen, news, print):find("this Broadcast is closed", 1, true))
  end)

  it("is closed at the end of a block with <close>", function()
    local log, add = new_log()
    do
      local news <close> = Isolate.Broadcast "news"
      news:listen(add)
    end
    new():send(1)
    pump()
    assert.same({}, log)
  end)

  it("keeps nobody alive by itself, and its listeners though it is collected", function()
    local iso = Isolate.spawn(function() Isolate.Broadcast "news" end)
    assert.is_true(iso:join(GUARD))
    local log, add = new_log()
    local subscription = Isolate.Broadcast "news":listen(add)
    collectgarbage()
    collectgarbage()
    new():send(1)
    pump()
    assert.same({ 1 }, log)
    subscription:cancel()
  end)

  it("raises for what is no name, and no function", function()
    assert.truthy(failure(Isolate.Broadcast):find(
      "bad argument #1 to 'Broadcast' (string expected, got nil)", 1, true))
    local news = new()
    assert.truthy(failure(news.listen, news):find(
      "bad argument #1 to 'listen' (function expected, got nil)", 1, true))
    assert.truthy(failure(news.send, {}):find(
      "calling 'send' on bad self (Broadcast expected, got table)", 1, true))
  end)
end)
