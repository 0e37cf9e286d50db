-- select_spec.lua
-- Waiting on several ports and channels at once.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local Channel, ReceivePort, async = Isolate.Channel, Isolate.ReceivePort, Isolate.async

describe("select", function()
  local port, ch

  before_each(function() port, ch = ReceivePort "in", Channel(4) end)
  after_each(function() port:close() end)

  it("takes what is there, of the first in the list first", function()
    ch:send "channel"
    port.send_port:send "port"
    Isolate.step()
    assert.same({ port, "port" }, { Isolate.select { port, ch } })
    assert.same({ ch, "channel" }, { Isolate.select { port, ch } })
    assert.same({ nil, "timeout", n = 2 }, table.pack(Isolate.select({ port, ch }, 0)))
  end)

  it("waits for whichever comes, in a main chunk and in a task", function()
    local other = Channel()
    Isolate.spawn(function(reply)
      ch:send "one"
      other:receive()
      reply:send "two"
    end, port.send_port)
    assert.same({ ch, "one" }, { Isolate.select { port, ch } })
    other:send "go on"
    local it, message = async(function() return Isolate.select { ch, port } end):await()
    assert.equal(port, it)
    assert.equal("two", message)
  end)

  it("passes nil messages", function()
    ch:send(nil)
    assert.same({ ch, nil, n = 2 }, table.pack(Isolate.select { ch }))
  end)

  it("leaves out those that are closed, until all are", function()
    local second = Channel()
    ch:send "rest"
    ch:close()
    assert.same({ ch, "rest" }, { Isolate.select { ch, second } })
    second:send "open"
    assert.same({ second, "open" }, { Isolate.select { ch, second } })
    async(function() second:close() end)
    assert.same({ nil, "closed", n = 2 }, table.pack(Isolate.select { ch, second }))
    port:close()
    assert.same({ nil, "closed", n = 2 }, table.pack(Isolate.select { port }))
  end)

  it("is told when one is closed while it waits", function()
    local waiting = async(function() return Isolate.select { port, ch } end)
    port:close()
    ch:close()
    assert.same({ nil, "closed", n = 2 }, table.pack(waiting:await()))
  end)

  it("takes nothing from those that it did not choose", function()
    local second = Channel()
    local waiting = async(function() return Isolate.select { ch, second, port } end)
    second:send "s"
    ch:send "c"
    port.send_port:send "p"
    local first = waiting:await()
    assert.equal(ch, first)
    assert.equal("s", (second:receive(5)))
    assert.equal("p", (port:receive(5)))
  end)

  it("hands on what it was told of and did not take", function()
    local first = async(function() return Isolate.select({ port, ch }, 30) end)
    local second = async(function() return port:receive(30) end)
    local third = async(function() return ch:receive(30) end)
    port.send_port:send "a"
    ch:send "x"
    port.send_port:send "b"
    ch:send "y"
    local it, message = first:await()
    local left = { (second:await()), (third:await()) }
    left[#left + 1] = port:receive(0.05)
    left[#left + 1] = ch:receive(0.05)
    left[#left + 1] = message
    table.sort(left)
    assert.is_true(it == port or it == ch)
    assert.same({ "a", "b", "x", "y" }, left)
  end)

  it("loses nothing when isolates that wait in it die", function()
    local a, b = Channel(), Channel()
    for _ = 1, 5 do
      local dies = Isolate.spawn(function() while true do Isolate.select { a, b } end end)
      Isolate.sleep(0.005)
      dies:kill(Isolate.immediate)
      dies:join()
    end
    a:send "a"
    b:send "b"
    assert.equal("a", (a:receive(5)))
    assert.equal("b", (b:receive(5)))
  end)

  it("brings all of many, once, over two channels and a port", function()
    local n, a, b = 200, Channel(3), Channel(3)
    local to = port.send_port
    for s, send in ipairs {
      function(v) a:send(v) end, function(v) b:send(v) end, function(v) to:send(v) end,
    } do
      Isolate.spawn(function() for i = 1, n do send { s, i } end end)
    end
    local last = { 0, 0, 0 }
    for _ = 1, 3 * n do
      local _, message = Isolate.select({ a, port, b }, 20)
      assert.equal(last[message[1]] + 1, message[2])
      last[message[1]] = message[2]
    end
    assert.same({ n, n, n }, last)
  end)

  it("names what is wrong with its list, and where", function()
    local function text(...)
      local args = table.pack(...)
      return select(2, pcall(function() Isolate.select(table.unpack(args, 1, args.n)) end))
        :gsub("^spec/select_spec.lua:%d+: ", "<here> ")
    end
    assert.equal("<here> bad argument #1 to 'select' (table expected, got number)", (text(1)))
    assert.equal("<here> bad argument #1 to 'select' (an empty list)", (text {}))
    assert.equal("<here> bad argument #1 to 'select' (a ReceivePort or Channel expected at [2],"
      .. " got string)", (text { ch, "x" }))
    assert.equal("<here> bad argument #2 to 'select' (number expected, got string)",
      (text({ ch }, "x")))
    port:listen(function() end)
    assert.equal("<here> bad argument #1 to 'select' (somebody listens to the port at [1] already)",
      (text { port }))
  end)

  it("leaves nothing behind when it is left by an error", function()
    local got = helper.lua([[
      local Isolate = require "isolate"
      local a, b = Isolate.Channel(), Isolate.Channel()
      Isolate.Timer(0.01, function() error "from a timer" end)
      print(pcall(Isolate.select, { a, b }))
      a:send(1)
      print(a:receive(5))
      Isolate.loop()
      print "end"
    ]])
    assert.equal("false\tscript.lua:3: from a timer\n1\nend\n", got.stdout)
  end)
end)
