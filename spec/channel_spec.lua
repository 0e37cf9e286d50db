-- channel_spec.lua
-- Channels: every message is received once, in order, whoever comes, waits and dies.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local Channel, async, run = Isolate.Channel, Isolate.async, Isolate.run

-- What is in it now.
local function drain(ch)
  local list = {}
  while true do
    local message, why = ch:receive(0)
    if why then return list, why end
    list[#list + 1] = message
  end
end

-- How many wait for a channel that they cannot see: all turns that can be made.
local function settle() Isolate.sleep(0.02 * helper.slow) end

describe("Channel", function()
  it("gives what was sent, in order, as copies", function()
    local ch, t = Channel(), { 1 }
    assert.is_true(ch:send(t))
    t[1] = 2
    ch:send "second"
    assert.same({ 1 }, (ch:receive()))
    assert.equal("second", (ch:receive()))
  end)

  it("passes nil and false on, alone", function()
    local ch = Channel()
    ch:send(nil)
    ch:send(false)
    assert.same({ n = 1 }, table.pack(ch:receive()))
    assert.same({ false, n = 1 }, table.pack(ch:receive()))
    assert.same({ nil, "timeout", n = 2 }, table.pack(ch:receive(0)))
  end)

  it("holds no more than its capacity", function()
    local ch = Channel(2)
    assert.is_true(ch:send(1, 0))
    assert.is_true(ch:send(2, 0))
    assert.same({ nil, "timeout", n = 2 }, table.pack(ch:send(3, 0)))
    assert.same({ nil, "timeout", n = 2 }, table.pack(ch:send(3, 0.01)))
    ch:receive()
    assert.is_true(ch:send(4, 0))
    assert.same({ 2, 4 }, drain(ch))
  end)

  it("raises for what cannot be sent, and nothing is sent", function()
    local ch = Channel()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, why = pcall(function() ch:send { file = io.stdout } end)
    assert.is_false(ok)
    assert.equal("spec/channel_spec.lua:" .. line
      .. ": cannot send message.file: an open file stays in its isolate", why)
    assert.same({}, drain(ch))
  end)

  it("names what is wrong with its arguments, and where", function()
    local function text(f, ...) return (select(2, pcall(f, ...)):gsub("^.-:%d+: ", "")) end
    assert.equal("bad argument #1 to 'Channel' (an integer of 1 or more expected, got 0)",
      text(function() Channel(0) end))
    assert.equal("bad argument #1 to 'Channel' (an integer of 1 or more expected, got 1.5)",
      text(function() Channel(1.5) end))
    assert.equal("bad argument #1 to 'Channel' (number expected, got string)",
      text(function() Channel "3" end))
    assert.equal("calling 'send' on bad self (Channel expected, got table)",
      text(function() Channel().send({}, 1) end))
    assert.equal("bad argument #2 to 'send' (number expected, got string)",
      text(function() Channel():send(1, "x") end))
    assert.equal("bad argument #1 to 'receive' (number expected, got nan)",
      text(function() Channel():receive(0 / 0) end))
  end)

  it("waits in a task while others go on", function()
    local ch, log = Channel(1), {}
    local receiver = async(function()
      for i, message in ch:messages() do log[#log + 1] = i .. message end
    end)
    async(function()
      for _, word in ipairs { "a", "b", "c" } do ch:send(word) end
      ch:close()
    end)
    log[1] = "first"
    receiver:await()
    assert.same({ "first", "1a", "2b", "3c" }, log)
  end)

  it("waits in a main chunk, and in a coroutine of the user's", function()
    local ch, back = Channel(1), Channel(1)
    local echo = run(function()
      for _, message in ch:messages() do back:send(message) end
    end)
    local inside = coroutine.wrap(function()
      ch:send "from a coroutine"
      return back:receive()
    end)
    assert.equal("from a coroutine", inside())
    ch:send "from outside"
    assert.equal("from outside", (back:receive()))
    ch:close()
    echo:await()
  end)

  it("lets timers and tasks run while the main chunk waits", function()
    local ch, ticks = Channel(), 0
    local timer = Isolate.Timer.periodic(0.001, function()
      ticks = ticks + 1
      if ticks == 3 then ch:send "enough" end
    end)
    assert.equal("enough", (ch:receive()))
    timer:cancel()
    assert.equal(3, ticks)
  end)

  it("tells a timeout from what came just in time", function()
    local ch = Channel()
    local got = async(function() return ch:receive(0.01) end)
    local patient = async(function() return ch:receive(30) end)
    assert.same({ nil, "timeout", n = 2 }, table.pack(got:await()))
    ch:send "late"
    assert.equal("late", (patient:await()))
  end)

  describe("when it is closed", function()
    it("gives what is in it first", function()
      local ch = Channel()
      ch:send(1)
      ch:send(2)
      ch:close()
      ch:close()
      assert.same({ nil, "closed", n = 2 }, table.pack(ch:send(3)))
      local list, why = drain(ch)
      assert.same({ 1, 2 }, list)
      assert.equal("closed", why)
    end)

    it("tells all who wait, on both sides, in all isolates", function()
      local full, empty = Channel(1), Channel(1)
      full:send "in it"
      local waiting = {}
      for i = 1, 3 do
        waiting[i] = run(function()
          local task = Isolate.async(function() return select(2, full:send "no room") end)
          return select(2, empty:receive()), (task:await())
        end)
      end
      waiting[4] = async(function() return select(2, full:send(1)), select(2, empty:receive()) end)
      settle()
      full:close()
      empty:close()
      for _, it in ipairs(waiting) do assert.same({ "closed", "closed" }, { it:await() }) end
      assert.same({ "in it" }, drain(full))
    end)

    it("is closed by <close>", function()
      local kept
      do
        local ch <close> = Channel()
        kept = ch
      end
      assert.equal("closed", select(2, kept:send(1)))
    end)
  end)

  it("can be sent, is equal wherever it comes back, and is the same key", function()
    local ch = Channel()
    local t = { [ch] = "here" }
    local back, is_same = run(function() return ch, t[ch] == "here" and next(t) == ch end):await()
    assert.is_true(is_same)
    assert.equal(ch, back)
    assert.equal("here", t[back])
    ch:send(ch)
    assert.equal("here", t[ch:receive()])
  end)

  it("outlives its maker", function()
    local ch = run(function()
      local made = Isolate.Channel(4)
      for i = 1, 3 do made:send(i) end
      return made
    end):await()
    ch:send(4)
    assert.same({ 1, 2, 3, 4 }, drain(ch))
  end)

  it("raises where a message that cannot be rebuilt is received, and goes on", function()
    local ch = Channel()
    ch:send(setmetatable({}, { __transfer = function()
      return function() error("no such luck", 0) end
    end }))
    ch:send "next"
    local ok, why = pcall(ch.receive, ch)
    assert.is_false(ok)
    assert.equal("a message of a channel could not be received: no such luck", why)
    assert.equal("next", (ch:receive()))
  end)

  -- Tasks that were told there is room left the line before they sent, so that one who
  -- came too late stood at its end: four senders arrived as 1, 3, 4, 2.
  it("keeps the order of tasks that wait for room", function()
    local ch, n = Channel(1), 100
    for i = 1, n do async(function() ch:send(i) end) end
    local got = run(function()
      local list = {}
      for i = 1, n do list[i] = ch:receive() end
      return list
    end):await()
    for i = 1, n do assert.equal(i, got[i]) end
  end)

  it("serves receivers that wait in the order they came", function()
    local ch, log = Channel(1), {}
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = async(function()
        local message = ch:receive()
        log[#log + 1] = i .. ":" .. message
      end)
    end
    run(function() for i = 1, 20 do ch:send(i) end end):await()
    Isolate.Future.all(tasks):await()
    for i = 1, 20 do assert.equal(i .. ":" .. i, log[i]) end
  end)

  it("brings each message once, in the order of its sender, with many on both sides", function()
    local n = 300
    for _, capacity in ipairs { 1, 7, 1000 } do
      local ch, senders, receivers = Channel(capacity), {}, {}
      for s = 1, 3 do
        senders[s] = run(function() for i = 1, n do ch:send { s, i } end end)
      end
      for r = 1, 2 do
        receivers[r] = run(function()
          local list = {}
          for i, message in ch:messages() do list[i] = message end
          return list
        end)
      end
      Isolate.Future.all(senders):await()
      ch:close()
      local seen, count = {}, 0
      for _, it in ipairs(receivers) do
        local last = { 0, 0, 0 }
        for _, message in ipairs(it:await()) do
          local s, i = message[1], message[2]
          assert.is_true(last[s] < i)
          last[s] = i
          assert.is_nil(seen[s .. ":" .. i])
          seen[s .. ":" .. i] = true
          count = count + 1
        end
      end
      assert.equal(3 * n, count)
    end
  end)

  describe("when an isolate dies", function()
    it("loses nothing if it waited for a message", function()
      local ch = Channel(10)
      local waits = Isolate.spawn(function() while true do ch:receive() end end)
      settle()
      waits:kill(Isolate.immediate)
      waits:join()
      ch:send "for the living"
      assert.equal("for the living", (ch:receive(10)))
    end)

    it("hands its turn on if it was told and did not come #signal", function()
      local ch, ready = Channel(10), Channel()
      -- told, but too busy to hear of it
      local busy = Isolate.spawn(function()
        Isolate.async(function() ch:receive() end)
        ready:send "waits"
        local t = os.clock()
        repeat until os.clock() - t > 60
      end)
      ready:receive()
      local other = run(function() return (ch:receive()) end)
      settle()
      ch:send "once"
      settle()
      busy:kill(Isolate.immediate)
      assert.equal("once", (other:await(20)))
    end)

    it("lets the next sender in if it was told that there is room #signal", function()
      local ch, ready = Channel(1), Channel()
      ch:send "full"
      local busy = Isolate.spawn(function()
        Isolate.async(function() ch:send "never" end)
        ready:send "waits"
        while true do end
      end)
      ready:receive()
      local other = run(function() return ch:send "second" end)
      settle()
      assert.equal("full", (ch:receive()))
      settle()
      busy:kill(Isolate.immediate)
      assert.is_true(other:await(20))
      assert.equal("second", (ch:receive()))
    end)

    it("gives back what it had in hand and not yet taken over #signal", function()
      local ch, ready = Channel(), Channel()
      ch:send(setmetatable({ "precious" }, { __transfer = function(t)
        local word = t[1]
        return function()
          if Isolate.current.name == "slow" then
            ready:send "in the middle"
            while true do end
          end
          return word
        end
      end }))
      ch:send "second"
      local slow = Isolate.spawn(function() ch:receive() end, nil, { name = "slow" })
      ready:receive()
      slow:kill(Isolate.immediate)
      slow:join()
      assert.same({ "precious", "second" }, drain(ch))
    end)

    it("loses at most what was taken, of many, when receivers are killed at random", function()
      local n = 2000 // helper.slow
      local ch, done = Channel(5), Channel(n + 10)
      local function receive()
        for _, message in ch:messages() do done:send(message) end
      end
      local living = {}
      for i = 1, 3 do living[i] = Isolate.spawn(receive) end
      local killer = async(function()
        for i = 1, 30 do
          Isolate.sleep(0.001)
          local at = i % 3 + 1
          living[at]:kill(Isolate.immediate)
          living[at]:join()
          living[at] = Isolate.spawn(receive)
        end
      end)
      for i = 1, n do ch:send(i) end
      killer:await()
      ch:close()
      for _, it in ipairs(living) do it:join() end
      local seen, lost = {}, n
      for _, i in ipairs(drain(done)) do
        assert.is_nil(seen[i])
        seen[i] = true
        lost = lost - 1
      end
      assert.is_true(lost <= 30, lost .. " lost")  -- in the hand of the 30 who were killed
    end)
  end)

  it("is collected with all that is in it when nobody refers to it", function()
    local weak = setmetatable({}, { __mode = "k" })
    for _ = 1, 10 do
      local ch = Channel()
      ch:send(("x"):rep(1000))
      weak[ch] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("keeps a program alive while a task waits, and no longer", function()
    local got = helper.lua([[
      local Isolate = require "isolate"
      local ch = Isolate.Channel()
      Isolate.async(function() print(ch:receive()) end)
      Isolate.spawn(function() Isolate.sleep(0.05) ch:send "it came" end)
      Isolate.loop()
    ]])
    assert.equal("it came\n", got.stdout)
    assert.equal(0, got.status)
  end)

  it("lets a program end with waiters on both sides of it", function()
    local got = helper.lua([[
      local Isolate = require "isolate"
      local empty, full = Isolate.Channel(), Isolate.Channel(1)
      full:send(1)
      for _ = 1, 3 do
        Isolate.spawn(function() empty:receive() end)
        Isolate.spawn(function() full:send(2) end)
      end
      Isolate.sleep(0.05)
      print "end"
    ]])
    assert.same({ "end\n", "", 0 }, { got.stdout, got.stderr, got.status })
  end)
end)
