-- map_spec.lua
-- Lists of work for a pool: `map` and `imap`, their errors, and what is left of them.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local Pool, Channel = Isolate.Pool, Isolate.Channel

local pool

before_each(function() pool = Pool { size = 2, name = "mappers" } end)
after_each(function() pool:close() end)

local function complaint(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return (tostring(why):gsub("^spec/map_spec.lua:%d+: ", "<here> "))
end

local function failure(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return why
end

-- An iterator over 1 … n that counts what it gave.
local function counter(n)
  local count = { n = 0 }
  return function()
    if count.n < n then
      count.n = count.n + 1
      return count.n
    end
  end, count
end

describe("map", function()
  it("gives the results in order, whatever the chunks", function()
    local list, expected = {}, { n = 500 }
    for i = 1, 500 do list[i], expected[i] = i, i * i end
    for _, chunk in ipairs { false, 1, 7, 500, 10000 } do
      assert.same(expected, (pool:map(function(x) return x * x end, list,
        { chunk = chunk or nil })))
    end
  end)

  it("takes lists that are empty, have one item, or holes", function()
    assert.same({ n = 0 }, (pool:map(print, {})))
    assert.same({ 2, n = 1 }, (pool:map(function(x) return x + 1 end, { 1 })))
    for _, chunk in ipairs { 1, 2, 5 } do
      assert.same({ "nil", "false", "nil", "1", "nil", n = 5 },
        (pool:map(tostring, { nil, false, nil, 1, nil, n = 5 }, { chunk = chunk })))
      assert.same({ nil, false, nil, n = 3 },
        (pool:map(function(x) return x end, { nil, false, nil, n = 3 }, { chunk = chunk })))
    end
  end)

  it("takes the first result, and awaits a Future", function()
    assert.same({ 1, 2, n = 2 }, (pool:map(function(x) return x, "more" end, { 1, 2 })))
    assert.same({ 1, 2, n = 2 }, (pool:map(function(x)
      return Isolate.Future.delayed(0.001, function() return x end)
    end, { 1, 2 })))
  end)

  it("sends tiny jobs in large chunks", function()
    local n = 20000 // helper.slow
    local list = {}
    for i = 1, n do list[i] = i end
    local done = pool:stats().done
    local results = pool:map(function(x) return x + 1 end, list)
    for i = 1, n do assert.equal(i + 1, results[i]) end
    assert.is_true(pool:stats().done - done < n // 10)
  end)

  it("sends slow jobs one by one", function()
    local names = pool:map(function()
      Isolate.sleep(0.02)
      return Isolate.current.name
    end, { 1, 2, 3, 4, 5, 6 })
    assert.equal(6, pool:stats().done)
    local seen = {}
    for i = 1, 6 do seen[names[i]] = true end
    assert.is_true(seen["mappers 1"] and seen["mappers 2"])
  end)

  it("waits in a task while others go on, several at once", function()
    local tasks, ticks = {}, 0
    local timer = Isolate.Timer.periodic(0.001, function() ticks = ticks + 1 end)
    for t = 1, 3 do
      tasks[t] = Isolate.async(function()
        return pool:map(function(x) Isolate.sleep(0.001) return x * t end, { 1, 2, 3, 4 })
      end)
    end
    for t = 1, 3 do assert.same({ t, 2 * t, 3 * t, 4 * t, n = 4 }, (tasks[t]:await())) end
    timer:cancel()
    assert.is_true(ticks > 0)
  end)

  it("raises the first error, with index and item, and stops the rest", function()
    local ran = Channel(1000)
    local items = {}
    for i = 1, 200 do items[i] = { name = "item " .. i } end
    for _, chunk in ipairs { 1, 10 } do
      local e = failure(function()
        pool:map(function(item)
          if item.name == "item 33" then error("bad " .. item.name, 0) end
          ran:send(1)
          Isolate.sleep(0.0005)
        end, items, { chunk = chunk })
      end)
      assert.equal(Isolate.RemoteError, getmetatable(e))
      assert.equal("bad item 33", e.message)
      assert.equal(33, e.index)
      assert.equal(items[33], e.item)
      local n = 0
      while select(2, ran:receive(0.02)) == nil do n = n + 1 end
      assert.is_true(n < 150, n .. " ran")
      assert.same({ 0, 0 }, { pool:stats().queued, pool:stats().running })
    end
    assert.equal(1, pool:run(function() return 1 end):await())
  end)

  it("collects errors with their items, and goes on", function()
    for _, chunk in ipairs { 1, 4, 10 } do
      local results, failures = pool:map(function(x)
        if x % 3 == 0 then error({ code = x }) end
        return x
      end, { 1, 2, 3, 4, 5, 6, 7 }, { errors = "collect", chunk = chunk })
      assert.same({ 1, 2, nil, 4, 5, nil, 7, n = 7 }, results)
      assert.equal(2, #failures)
      for i, it in ipairs(failures) do
        assert.same({ 3 * i, 3 * i }, { it.index, it.item })
        assert.equal(Isolate.RemoteError, getmetatable(it.error))
        assert.equal(3 * i, it.error.value.code)
        assert.match("^mappers", it.error.isolate)
      end
    end
    assert.same({ { 1, n = 1 }, {} }, { pool:map(function(x) return x end, { 1 },
      { errors = "collect" }) })
  end)

  -- One result that cannot be sent took its whole chunk with it.
  it("knows the item whose result cannot be sent", function()
    local function some(x) return x == 3 and { file = io.stdout } or x end
    for _, chunk in ipairs { 1, 5 } do
      local e = failure(function() pool:map(some, { 1, 2, 3, 4, 5 }, { chunk = chunk }) end)
      assert.equal("cannot send result[1].file: an open file stays in its isolate", e.message)
      assert.same({ 3, 3 }, { e.index, e.item })
      local results, failures = pool:map(some, { 1, 2, 3, 4, 5 },
        { chunk = chunk, errors = "collect" })
      assert.same({ 1, 2, nil, 4, 5, n = 5 }, results)
      assert.same({ 1, 3 }, { #failures, failures[1].index })
    end
  end)

  it("tells of a worker that died, and collects the items it had", function()
    local function some(x)
      if x == 3 then os.exit() end
      return x
    end
    local e = failure(function() pool:map(some, { 1, 2, 3, 4 }, { chunk = 1 }) end)
    assert.equal("the worker ended before the job was done", e.message)
    assert.same({ 3, 3 }, { e.index, e.item })
    local results, failures = pool:map(some, { 1, 2, 3, 4 }, { chunk = 2, errors = "collect" })
    assert.same({ 1, 2, n = 4 }, results)
    assert.same({ 2, 3, 4 }, { #failures, failures[1].index, failures[2].index })
  end)

  it("limits the time of each item #signal", function()
    local results, failures = pool:with { timeout = 0.1 * helper.slow }:map(function(x)
      while x == 2 do end
      return x
    end, { 1, 2, 3 }, { errors = "collect" })
    assert.same({ 1, nil, 3, n = 3 }, results)
    assert.equal(Isolate.TimeoutError, getmetatable(failures[1].error))
    assert.equal(2, failures[1].index)
  end)

  it("tells its progress, and stops when that raises", function()
    local told = {}
    pool:map(function(x) return x end, { 1, 2, 3 }, { chunk = 1,
      progress = function(done, total) told[#told + 1] = done .. "/" .. total end })
    assert.equal("3/3", told[#told])
    assert.equal("too far", complaint(function()
      pool:map(function(x) return x end, { 1, 2, 3 }, { progress = function()
        error("too far", 0)
      end })
    end))
    Isolate.sleep(0.01)
    assert.same({ 0, 0 }, { pool:stats().queued, pool:stats().running })
  end)

  it("names what is wrong with its arguments, and where", function()
    local to = pool:with {}
    for _, it in ipairs { pool, to } do
      assert.equal("<here> bad argument #1 to 'map' (function expected, got number)",
        complaint(function() local _ = it:map(1, {}) end))
      assert.equal("<here> bad argument #2 to 'map' (table expected, got nil)",
        complaint(function() local _ = it:map(print) end))
      assert.equal("<here> bad argument #3 to 'map' (unknown option 'size')",
        complaint(function() local _ = it:map(print, {}, { size = 1 }) end))
      assert.equal("<here> bad argument #3 to 'map' (option 'errors': \"collect\" or \"raise\""
        .. " expected, got string)",
        complaint(function() local _ = it:map(print, {}, { errors = "ignore" }) end))
      assert.equal("<here> bad argument #3 to 'map' (option 'chunk': integer of 1 or more"
        .. " expected, got 0)", complaint(function() local _ = it:map(print, {}, { chunk = 0 }) end))
    end
    assert.equal("<here> calling 'map' on bad self (Pool expected, got function)",
      complaint(function() local _ = pool.map(print, {}) end))
  end)

  it("raises for an item that cannot be sent, and gives the others up", function()
    assert.match("^<here> cannot send argument%[1%]%[%d+%]: a coroutine stays in its isolate$",
      complaint(function()
        local _ = pool:map(function() end, { 1, 2, coroutine.create(print), 4 })
      end))
    assert.same({ 0, 0 }, { pool:stats().queued, pool:stats().running })
  end)

  -- What was sent to a pool that was closed meanwhile never ended: map waited for ever.
  it("raises when the pool is closed in the middle", function()
    local mine = Pool { size = 1, queue = 1 }
    local started = Channel()
    local mapping = Isolate.async(function()
      return mine:map(function(x) started:send(x) end, { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { chunk = 1 })
    end)
    started:receive()
    mine:close()
    local ok, why = pcall(mapping.await, mapping, 10)
    assert.is_false(ok)
    assert.match("this pool is closed", tostring(why))
  end)

  it("shares a pool whose init fails with a clear end", function()
    local mine <close> = Pool { init = function() error("no init", 0) end }
    assert.equal("the pool's init failed: no init",
      failure(function() mine:map(print, { 1, 2, 3 }) end).message)
    local results, failures = mine:map(print, { 1, 2, 3 }, { errors = "collect", chunk = 1 })
    assert.same({ n = 3 }, results)
    assert.equal(3, #failures)
    assert.is_false(rawequal(failures[1].error, failures[2].error))
  end)
end)

describe("imap", function()
  it("gives index and results in order", function()
    local log = {}
    for i, a, b in pool:imap(function(x)
      Isolate.sleep((4 - x) * 0.002)
      return x * 2, "b" .. x
    end, (counter(4))) do
      log[#log + 1] = { i, a, b }
    end
    assert.same({ { 1, 2, "b1" }, { 2, 4, "b2" }, { 3, 6, "b3" }, { 4, 8, "b4" } }, log)
  end)

  it("gives them as they come, each once, when it need not be ordered", function()
    local gate = Channel()
    local order, seen = {}, {}
    for i, x in pool:imap(function(x)
      if x == 1 then gate:receive() end
      return x
    end, (counter(50)), { ordered = false, ahead = 4 }) do
      assert.equal(i, x)
      assert.is_nil(seen[i])
      seen[i] = true
      order[#order + 1] = i
      if #order == 20 then gate:send(1) end
    end
    assert.equal(50, #order)
    assert.not_equal(1, order[1])
  end)

  it("never takes more items than it may hold", function()
    for _, ordered in ipairs { true, false } do
      local iterator, count = counter(200)
      local given = 0
      for _ in pool:imap(function(x) return x end, iterator, { ahead = 5, ordered = ordered }) do
        given = given + 1
        assert.is_true(count.n - given <= 5)
      end
      assert.equal(200, given)
    end
  end)

  it("takes nothing before it is asked", function()
    local iterator, count = counter(10)
    pool:imap(print, iterator)
    assert.equal(0, count.n)
  end)

  -- A list of the order in which results came grew with every item.
  it("holds no memory of items that were given", function()
    local n = math.max(20000, 1e6 * helper.stress) // helper.slow | 0
    local before, most
    for i in pool:imap(function(x) return x end, (counter(n)), { ahead = 50 }) do
      if i % (n // 4) == 0 then
        collectgarbage()
        collectgarbage()
        local memory = collectgarbage "count"
        before = before or memory
        most = math.max(most or 0, memory - before)
      end
    end
    assert.is_true(most < 64, most .. " KiB more")
  end)

  it("passes nil results, and stops at the first nil item", function()
    local log = {}
    for i, v in pool:imap(function(x) return x or nil end, (function()
      local items, at = { false, 1, nil, 2 }, 0
      return function() at = at + 1 return items[at] end
    end)()) do
      log[#log + 1] = i .. tostring(v)
    end
    assert.same({ "1nil", "21" }, log)
  end)

  it("raises an error in its turn, with index and item, and stops", function()
    local iterator, count = counter(1000)
    local last
    local e = failure(function()
      for i in pool:imap(function(x)
        if x == 5 then error("five", 0) end
        return x
      end, iterator, { ahead = 3 }) do last = i end
    end)
    assert.same({ 4, "five", 5, 5 }, { last, e.message, e.index, e.item })
    assert.is_true(count.n <= 8)
    assert.same({ 0, 0 }, { pool:stats().queued, pool:stats().running })
  end)

  it("gives errors instead of results when they are collected", function()
    local log = {}
    for i, v, e in pool:imap(function(x)
      if x % 2 == 0 then error("even", 0) end
      return x
    end, (counter(4)), { errors = "collect" }) do
      log[i] = v or e.message .. e.item
    end
    assert.same({ 1, "even2", 3, "even4" }, log)
  end)

  it("gives up what is under way when the loop is left", function()
    local ran = Channel(1000)
    for i in pool:imap(function(x) ran:send(x) Isolate.sleep(0.001) end, (counter(1000)),
      { ahead = 100 }) do
      if i == 3 then break end
    end
    assert.same({ 0, 0 }, { pool:stats().queued, pool:stats().running })
    local n = 0
    while select(2, ran:receive(0.02)) == nil do n = n + 1 end
    assert.is_true(n < 50, n .. " ran")
  end)

  it("gives up when the iterator raises, or gives what cannot be sent", function()
    local function from(bad)
      local at = 0
      return function()
        at = at + 1
        if at == 5 then return bad() end
        return at
      end
    end
    assert.equal("no more", complaint(function()
      for _ in pool:imap(function(x) return x end, from(function() error("no more", 0) end)) do end
    end))
    assert.equal("<here> cannot send argument[1]: an open file stays in its isolate",
      complaint(function()
        for _ in pool:imap(function(x) return x end, from(function() return io.stdout end)) do end
      end))
    assert.same({ 0, 0 }, { pool:stats().queued, pool:stats().running })
  end)

  it("takes an iterator that waits, and one that uses the pool", function()
    local sum = 0
    for _, v in pool:imap(function(x) return x end, (function()
      local at = 0
      return function()
        Isolate.sleep(0.001)
        at = pool:run(function(x) return x + 1 end, at):await()
        if at <= 10 then return at end
      end
    end)()) do sum = sum + v end
    assert.equal(55, sum)
  end)

  it("works with a bounded queue, in tasks", function()
    local mine <close> = Pool { size = 2, queue = 1 }
    local tasks = {}
    for t = 1, 3 do
      tasks[t] = Isolate.async(function()
        local n = 0
        for i, v in mine:imap(function(x) return x end, (counter(30)), { ahead = 10 }) do
          assert.equal(i, v)
          n = n + 1
        end
        return n
      end)
    end
    for t = 1, 3 do assert.equal(30, tasks[t]:await(20 * helper.slow)) end
  end)

  it("names what is wrong with its arguments, and where", function()
    assert.equal("<here> bad argument #1 to 'imap' (function expected, got nil); give the function itself, not what it returns",
      complaint(function() local _ = pool:imap() end))
    assert.equal("<here> bad argument #2 to 'imap' (function expected, got table)",
      complaint(function() local _ = pool:imap(print, {}) end))
    assert.equal("<here> bad argument #3 to 'imap' (option 'ahead': integer of 1 or more expected,"
      .. " got 0)", complaint(function() local _ = pool:imap(print, print, { ahead = 0 }) end))
    assert.equal("<here> bad argument #3 to 'imap' (unknown option 'chunk')",
      complaint(function() local _ = pool:imap(print, print, { chunk = 1 }) end))
  end)
end)
