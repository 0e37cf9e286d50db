-- The user's code runs in the middle of a message: finalizers, searchers,
-- __transfer, metamethods of environments. Each case was a bug once.
-- luacheck: globals utf8 spec_virtual

local Isolate = require "isolate"
local helper = require "spec.helper"

local GUARD = 60

local function here(value)
  local port <close> = Isolate.ReceivePort()
  port.send_port:send(value)
  return port:receive(GUARD)
end

describe("a message", function()
  it("is whole although finalizers send while it is written", function()
    local port <close> = Isolate.ReceivePort()
    local log <close> = Isolate.ReceivePort()
    for i = 1, 300 do
      for _ = 1, 3 do
        setmetatable({}, { __gc = function() log.send_port:send "bye" end })
      end
      local list = {}
      for k = 1, 20 do list[k] = function() return k + i end end
      port.send_port:send { i, list }
      local message = port:receive(GUARD)
      assert.equal(i, message[1])
      assert.equal(20 + i, message[2][20]())
      repeat local more = log:receive(0) until not more
    end
  end)

  it("is whole although finalizers receive while it is built", function()
    local port <close> = Isolate.ReceivePort()
    local other <close> = Isolate.ReceivePort()
    for i = 1, 200 do
      setmetatable({}, { __gc = function() other:receive(0) end })
      other.send_port:send "something"
      local list = {}
      for k = 1, 200 do list[k] = { k .. " of " .. i } end
      port.send_port:send(list)
      assert.equal("200 of " .. i, port:receive(GUARD)[200][1])
    end
  end)

  it("is its own although a handler fails in a finalizer while it is built", function()
    -- A plain table is built without a pcall of its own: when a stretch of handlers has
    -- failed, the message that it could not build is tried again. A handler that failed in
    -- a loop that a finalizer let run took the message that was being built around it for
    -- that: it came twice, and its memory was freed twice.
    local result = helper.lua([[
      local Isolate = require "isolate"
      local port, heard, inside, failed = Isolate.ReceivePort(), {}, false, 0
      local function litter()
        setmetatable({}, { __gc = function()
          if inside then return end
          inside = true
          pcall(Isolate.sleep, 0)  -- what comes behind is handled in here
          inside = false
        end })
      end
      port:listen(function(message)
        heard[message.n] = (heard[message.n] or 0) + 1
        if not inside then return litter() end
        failed = failed + 1
        error "a handler's own"
      end)
      collectgarbage("incremental", 10, 10000, 1)
      local list, sent = {}, 0
      for i = 1, 800 do list[i] = { i } end
      for _ = 1, 100 do
        for _ = 1, 10 do
          sent = sent + 1
          port.send_port:send { n = sent, list = list }
        end
        repeat until pcall(Isolate.sleep, 0)
      end
      repeat until pcall(Isolate.sleep, 0) and #heard == sent
      for n = 1, sent do assert(heard[n] == 1, n) end
      assert(failed > 0)
      port:close()
      print "each came once"
    ]], { guard = GUARD })
    assert.equal("each came once\n", result.stdout, result.stderr)
  end)

  it("is dropped if it closes its own port while it is built", function()
    -- It came all the same, if it was there when the main chunk asked for it.
    local port <close> = Isolate.ReceivePort()
    local module = { close = function() port:close() end }
    package.loaded["spec.closing"], package.preload["spec.closing"] = module, function() return module end
    finally(function()
      package.loaded["spec.closing"], package.preload["spec.closing"] = nil, nil
    end)
    port.send_port:send(setmetatable({}, { __transfer = function() return module.close end }))
    assert.same({ nil, "closed" }, { port:receive(GUARD) })
  end)

  it("is whole although a searcher sends while a module is looked for", function()
    local log <close> = Isolate.ReceivePort()
    local function searcher(name)
      if name ~= "spec.virtual" then return end
      log.send_port:send { "asked for", name }
      return function() return package.loaded["spec.virtual"] end
    end
    table.insert(package.searchers, searcher)
    package.loaded["spec.virtual"] = { f = function() end }
    finally(function()
      table.remove(package.searchers)
      package.loaded["spec.virtual"] = nil
    end)
    local got = here { package.loaded["spec.virtual"], "after it" }
    assert.equal("after it", got[2])
    assert.equal(package.loaded["spec.virtual"], got[1])
    assert.same({ "asked for", "spec.virtual" }, log:receive(GUARD))
  end)

  it("refers to no value whose address came again", function()
    for _ = 1, 20 do
      local box = {}
      for k = 1, 50 do box[k] = { "old" } end
      local drop = setmetatable({}, { __transfer = function()
        for k = 1, 50 do box[k] = nil end
        collectgarbage()
        local fresh = {}
        for k = 1, 50 do fresh[k] = { "new" } end
        return function(...) return { ... } end, table.unpack(fresh)
      end })
      for _, it in ipairs(here({ box, drop })[2]) do assert.equal("new", it[1]) end
    end
  end)

  it("tells globals apart that an environment makes when asked", function()
    local env = setmetatable({}, { __index = function(_, k)
      if not k:find "^g%d" then return _G[k] end
      collectgarbage()
      return (k .. "."):rep(100)
    end })
    local names = {}
    for i = 10, 30 do names[#names + 1] = "g" .. i end
    local f = load("return function() return {" .. table.concat(names, ",") .. "} end",
      "=x", "t", env)()
    for i, text in ipairs(Isolate.run(f):await(GUARD)) do
      assert.equal((names[i] .. "."):rep(100), text)
    end
  end)

  it("keeps its shape when __transfer takes a metatable away", function()
    local box = setmetatable({}, { x = 1 })
    box[1] = setmetatable({}, { __transfer = function()
      setmetatable(box, nil)
      return function() return 1 end
    end })
    local got = here { box, { "a" }, "b" }
    assert.same({ { 1 }, { "a" }, "b" }, got)
  end)

  it("goes by a name of any length", function()
    local name = ("f"):rep(300)
    package.preload["spec.long"] = function() return { [name] = function() return 1 end } end
    finally(function()
      package.preload["spec.long"], package.loaded["spec.long"] = nil, nil
    end)
    local f = require "spec.long"[name]
    assert.same({ name, f }, here { name, f })
    assert.same({ f, name }, here { f, name })
  end)

  it("carries a global with the name of a library and the value of a module's field", function()
    local before = utf8
    package.preload["spec.tools"] = function() return { info = function() return "info" end } end
    finally(function()
      utf8 = before
      package.preload["spec.tools"], package.loaded["spec.tools"] = nil, nil
    end)
    utf8 = require "spec.tools".info
    local got = here { 1, function() return utf8 end, "end" }
    assert.equal("end", got[3])
    assert.equal(before, got[2]())  -- the library is there, and is not overwritten
  end)
end)

describe("a SendPort", function()
  it("that dies with an older object still sends in its finalizer", function()
    local port <close> = Isolate.ReceivePort()
    do
      local older = setmetatable({}, { __gc = function(self) self.reply:send "bye" end })
      older.reply = Isolate.run(function(reply)
        local other = Isolate.ReceivePort()
        reply:send "made"
        other:close()
        return reply
      end, port.send_port):await(GUARD)
    end
    assert.equal("made", port:receive(GUARD))
    collectgarbage()
    collectgarbage()
    assert.equal("bye", port:receive(GUARD))
  end)
end)

describe("an isolate", function()
  it("that has no memory to begin with fails alone", function()
    local had_enough
    for limit = 1000, 60000, 1001 do
      local future = Isolate.compute(function() return 1 end, nil, { memory_limit = limit })
      local ok, value = pcall(future.await, future, GUARD)
      if ok then
        assert.equal(1, value)
        had_enough = had_enough or limit
      else
        assert.is_nil(had_enough, "failed with more")
      end
    end
    assert.is_true(had_enough and had_enough > 10000)
  end)

  it("may send its own xpcall and os.execute to the main one", function()
    local mine, execute = Isolate.run(function()
      local a, b = xpcall, os.execute
      xpcall, os.execute = nil, nil  -- luacheck: ignore
      return a, b
    end):await(GUARD)
    assert.same({ false, "handled" }, { mine(error, function() return "handled" end, "oops") })
    assert.is_true(execute "true")
  end)

  it("that waits in a finalizer at its end, ends", function()
    local iso = Isolate.spawn(function()
      local port = Isolate.ReceivePort()
      Kept = setmetatable({}, { __gc = function() port:receive() end })  -- luacheck: ignore
      Isolate.exit()
    end)
    assert.is_true(iso:join(GUARD))
  end)
end)
