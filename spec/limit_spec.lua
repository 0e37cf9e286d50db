-- limit_spec.lua
-- What an isolate may use: memory, time, libraries (pains 23, 31, 39). Who
-- wants more fails alone, and says why.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local GUARD = 30 * helper.slow -- seconds
local MB = 1 << 20

-- The error that a Future fails with.
local function failure(future)
  local ok, err = pcall(future.await, future, GUARD)
  assert.is_false(ok)
  return err
end

-- What Isolate.list() says of the isolate called `name`, or nil.
local function entry(name)
  for _, it in ipairs(Isolate.list()) do
    if it.name == name then return it end
  end
end

-- luacheck: ignore 241
describe("an isolate over its memory_limit", function()
  local eaters = {
    {"tables", function() local t = {} while true do t[#t + 1] = {} end end},
    {"one list", function() local t = {} while true do t[#t + 1] = #t end end},
    {"strings", function() local s = "x" while true do s = s .. s end end},
    {"one string", function() return ("x"):rep(1 << 30) end},
    {"a string of table.concat", function()
      local t = {}
      for i = 1, 10000 do t[i] = ("x"):rep(1000) end
      return table.concat(t)
    end},
    {"closures", function() local t = {} while true do t[#t + 1] = function() return t end end end},
    {"coroutines", function() local t = {} while true do t[#t + 1] = coroutine.create(print) end end},
    {"finalizers", function()
      local t = {}
      while true do t = setmetatable({t}, {__gc = function() end}) end
    end},
    {"code", function() assert(load(function() return "x = 1 " end)) end},
    {"its stack", function()
      local function recurse(...) return 1 + recurse(1, 2, 3, 4, 5, 6, 7, 8, 9, ...) end
      return recurse()
    end},
    {"its timers", function()
      while true do Isolate.Timer(1000, print) end
    end},
    {"its tasks", function()
      while true do Isolate.async(Isolate.sleep, 1000) end
    end},
    {"its own answer", function()
      local s, list = ("x"):rep(1 << 20), {}
      for i = 1, 10 do list[i] = s .. i end
      return list
    end},
  }
  for _, row in ipairs(eaters) do
    it("by " .. row[1] .. " fails alone (pain 23)", function()
      local beside = Isolate.run(function()
        Isolate.sleep(0.01)
        return #("x"):rep(16 << 20)
      end)
      local err = failure(Isolate.compute(row[2], nil, {memory_limit = 4 * MB}))
      assert.are.equal("not enough memory", (err.message:match "not enough memory"))
      assert.are.equal(16 * MB, beside:await(GUARD))
    end)
  end

  it("may catch that, free what it holds, and go on (pain 23)", function()
    local answer = Isolate.compute(function()
      local times = 0
      for _ = 1, 5 do
        local held = {}
        local ok, why = pcall(function() while true do held[#held + 1] = {} end end)
        if not ok and why == "not enough memory" then times = times + 1 end
      end
      return times
    end, nil, {memory_limit = 4 * MB})
    assert.are.equal(5, answer:await(GUARD))
  end)

  it("never has more than that, and can be killed, while it catches without an end (pain 23) #signal", function()
    local iso = Isolate.spawn(function()
      while true do
        pcall(function()
          local held = {}
          while true do held[#held + 1] = {} end
        end)
      end
    end, nil, {memory_limit = 4 * MB, name = "eater"})
    local most = 0
    for _ = 1, 100 do
      local it = entry "eater"
      most = math.max(most, it and it.memory or 0)
      Isolate.sleep(0.001)
    end
    iso:kill(Isolate.immediate)
    assert.is_true(iso:join(GUARD))
    assert.is_true(most > 1 * MB and most <= 4 * MB)
  end)

  it("tells its error listeners, then its exit listeners (pain 23)", function()
    local port <close> = Isolate.ReceivePort()
    Isolate.spawn(function()
      local held = {}
      while true do held[#held + 1] = {} end
    end, nil, {memory_limit = 4 * MB, on_error = port.send_port, on_exit = port.send_port})
    local err = port:receive(GUARD)
    assert.are.equal("not enough memory", err[1])
    assert.are.equal(1, select("#", port:receive(GUARD)))
  end)

  it("by its function or first message fails alone (pain 23)", function()
    local list = {}
    for i = 1, 200000 do list[i] = {i} end
    local err = failure(Isolate.compute(function() return #list end, nil, {memory_limit = 4 * MB}))
    assert.are.equal("not enough memory", err.message)
    err = failure(Isolate.compute(function(it) return #it end, list, {memory_limit = 4 * MB}))
    assert.are.equal("not enough memory", err.message)
  end)

  -- A message of each kind that is received: one string, many small values in
  -- slices, and something built by the user's code.
  local messages = {
    {"a long string", function() return ("x"):rep(16 * MB) end},
    {"a large table", function()
      local list = {}
      for i = 1, 300000 do list[i] = {i} end
      return list
    end},
    {"a rebuild that eats", function()
      return setmetatable({}, {__transfer = function()
        return function()
          local held = {}
          while true do held[#held + 1] = {} end
        end
      end})
    end},
  }
  for _, row in ipairs(messages) do
    it("by " .. row[1] .. " that it receives loses that message, and may live on (pain 23)", function()
      local port <close> = Isolate.ReceivePort()
      local errors <close> = Isolate.ReceivePort()
      local iso = Isolate.spawn(function(reply)
        local inbox = Isolate.ReceivePort()
        reply:send(inbox.send_port)
        inbox:listen(function(message)
          reply:send(message)
          if message == "last" then inbox:close() end
        end)
      end, port.send_port, {memory_limit = 6 * MB, errors_are_fatal = false, on_error = errors.send_port})
      local inbox = port:receive(GUARD)
      inbox:send "first"
      inbox:send(row[2]())
      inbox:send "last"
      assert.are.equal("first", port:receive(GUARD))
      assert.are.equal("last", port:receive(GUARD))
      assert.are.equal("not enough memory", (errors:receive(GUARD)[1]:match "not enough memory"))
      assert.is_true(iso:join(GUARD))
    end)
  end

  it("by a module that it requires fails alone, and its spawner has the module (pain 23)", function()
    local dir = helper.tempdir()
    helper.write(dir .. "/isolate_spec_fat.lua", "Fat = {}\n" .. ("Fat[#Fat + 1] = {1, 2, 3}\n"):rep(100000)
      .. "return Fat")
    local function load_it() return #require "isolate_spec_fat" end
    local path = dir .. "/?.lua"
    local err = failure(Isolate.compute(load_it, nil, {memory_limit = 4 * MB, path = path}))
    assert.are.equal("not enough memory", (err.message:match "not enough memory"))
    assert.are.equal(100000, Isolate.compute(load_it, nil, {path = path}):await(GUARD))
  end)

  it("so small that nothing fits ends with an error, whatever it is (pain 23)", function()
    for limit = 1, 300000, 7919 do
      local future = Isolate.compute(function() return {("x"):rep(300000)} end, nil, {memory_limit = limit})
      assert.are.equal("not enough memory", (failure(future).message:match "not enough memory"))
    end
  end)
end)

describe("Isolate.list()", function()
  -- The collector is stopped, so nothing but the list itself comes between.
  it("tells the memory of the isolate that asks as collectgarbage counts it (pain 28)", function()
    local function measure(own)
      collectgarbage()
      collectgarbage "stop"
      local before = collectgarbage "count" * 1024
      local list = Isolate.list()
      local after = collectgarbage "count" * 1024
      collectgarbage "restart"
      for _, it in ipairs(list) do
        if it.name == own then return before, it.memory, after end
      end
    end
    local before, memory, after = Isolate.compute(measure, "measured", {name = "measured"}):await(GUARD)
    assert.is_true(before <= memory and memory <= after)
    before, memory, after = measure "main"
    assert.is_true(before <= memory and memory <= after)
  end)

  -- What it counted last, and what it did since then to wait.
  it("tells the memory of another isolate as collectgarbage counts it there (pain 28)", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(reply)
      local kept, port_here = {}, Isolate.ReceivePort()
      Isolate.sleep(0) -- from then on all of our layer is there that a wait needs
      for i = 1, 10000 do kept[i] = {i} end
      collectgarbage()
      collectgarbage "stop"
      reply:send(collectgarbage "count" * 1024)
      port_here:receive()
      return kept
    end, port.send_port, {name = "measured"})
    local counted = port:receive(GUARD)
    assert.is_truthy(helper.eventually(function() return entry "measured".state == "idle" end, GUARD))
    assert.is_true(math.abs(entry "measured".memory - counted) < 8192)
    iso:kill(Isolate.immediate)
    assert.is_true(iso:join(GUARD))
    assert.is_nil(entry "measured")
  end)
end)

describe("compute's timeout #signal", function()
  local slow = {
    {"loops", function() while true do end end},
    {"loops in pcall", function() while true do pcall(function() while true do end end) end end},
    {"loops in coroutines", function()
      while true do coroutine.wrap(function() for _ = 1, 1e6 do end end)() end
    end},
    {"eats memory in pcall", function()
      while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end
    end},
    {"sleeps", function() Isolate.sleep(1000) end},
    {"waits for a message", function() Isolate.ReceivePort():receive() end},
    {"waits for a command", function() os.execute "exec sleep 12 >/dev/null 2>&1" end},
    {"never ends its __close handler", function()
      local _ <close> = setmetatable({}, {__close = function() while true do end end})
      while true do end
    end},
    {"has a task that goes on after it", function()
      Isolate.async(function() while true do Isolate.sleep(0.001) end end)
      Isolate.sleep(1000)
    end},
  }
  for _, row in ipairs(slow) do
    it("ends one that " .. row[1] .. " with a TimeoutError (pains 4, 31)", function()
      local err = failure(Isolate.compute(row[2], nil, {timeout = 0.05, memory_limit = 16 * MB, name = "slow"}))
      assert.are.equal(Isolate.TimeoutError, getmetatable(err))
      assert.are.equal("the computation was not done after 0.05 seconds", err.message)
      assert.is_truthy(helper.eventually(function() return not entry "slow" end, GUARD,
        function() Isolate.sleep(0.005) end))
    end)
  end

  it("of 0 ends it at once", function()
    local err = failure(Isolate.compute(function() while true do end end, nil, {timeout = 0}))
    assert.are.equal(Isolate.TimeoutError, getmetatable(err))
  end)

  it("has no effect on one that is done in time, or failed", function()
    assert.are.equal(42, Isolate.compute(function() return 42 end, nil, {timeout = GUARD}):await(GUARD))
    local err = failure(Isolate.compute(function() error "mine" end, nil, {timeout = GUARD}))
    assert.are.equal("mine", (err.message:match "mine"))
  end)
end)

describe("libs", function()
  local opts = {libs = {"string", "table", "math", "coroutine"}, memory_limit = 16 * MB, timeout = GUARD}

  it("leave no way to the libraries that were not given (pain 39)", function()
    local bad, many = Isolate.compute(function()
      local seen, names = {}, {}
      local function walk(value, path)
        if type(value) == "table" and not seen[value] then
          seen[value] = true
          for k, v in next, value do walk(v, path .. "." .. tostring(k)) end
          walk(getmetatable(value), path .. ".metatable")
        elseif type(value) == "function" then
          names[#names + 1] = path
        end
      end
      walk(_G, "_G")
      walk(getmetatable "", "string")
      local found = {}
      for _, path in ipairs(names) do
        for _, part in ipairs {"execute", "popen", "open", "exit", "getregistry", "sethook", "require", "loadlib",
          "spawn", "getenv"} do
          if path:match "[^.]*$" == part then found[#found + 1] = path end
        end
      end
      return table.concat(found, " "), #names > 40
    end, nil, opts):await(GUARD)
    assert.are.equal("", bad)
    assert.is_true(many)
  end)

  it("are named by the error of code that misses one (pain 39)", function()
    local err = failure(Isolate.compute(function() return os.getenv "HOME" end, nil, opts))
    assert.is_truthy(err.message:find("attempt to index a nil value (global 'os')", 1, true))
  end)

  it("still let it answer, fail with a traceback, and be ended (pain 39) #signal", function()
    assert.are.same({1, "a"}, Isolate.compute(function() return {1, "a"} end, nil, opts):await(GUARD))
    local err = failure(Isolate.compute(function() error {code = 7} end, nil, {libs = {}}))
    assert.are.equal(7, err.value.code)
    err = failure(Isolate.compute(function() while true do pcall(function() while true do end end) end end, nil,
      {libs = {}, timeout = 0.02}))
    assert.are.equal(Isolate.TimeoutError, getmetatable(err))
  end)
end)
