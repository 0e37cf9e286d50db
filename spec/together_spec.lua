-- together_spec.lua
-- parallel, race and scope: what belongs together ends together.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local Channel, parallel, race = Isolate.Channel, Isolate.parallel, Isolate.race

local GUARD = 20 * helper.slow

local function failure(future)
  local ok, why = pcall(future.await, future, GUARD)
  assert.is_false(ok, "an error was expected")
  return why
end

local function complaint(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok, "an error was expected")
  return (why:gsub("^spec/together_spec.lua:%d+: ", "<here> "))
end

-- All other isolates have ended, soon.
local function alone()
  return helper.eventually(function() return #Isolate.list() == 1 end, 5,
    function() Isolate.sleep(0.002) end)
end

-- A function that says when it runs, and runs for ever.
local function forever(started)
  return function()
    started:send(true)
    while true do Isolate.sleep(1) end
  end
end

describe("parallel", function()
  it("brings the first value of each, in their order", function()
    local n = 3
    assert.same({ 3, nil, false, "last", n = 4 }, table.pack(parallel(
      function() Isolate.sleep(0.01) return n, "more" end,
      function() end,
      function() return false end,
      function() return "last" end):await()))
  end)

  it("of nothing is done", function()
    assert.same({ n = 0 }, table.pack(parallel():await()))
  end)

  it("runs them at the same time", function()
    local a, b = Channel(), Channel()
    assert.same({ "from b", "from a" }, { parallel(
      function() a:send "from a" return (b:receive()) end,
      function() b:send "from b" return (a:receive()) end):await() })
  end)

  it("fails with the first error, which kills the rest", function()
    local started = Channel()
    local e = failure(parallel(forever(started), function()
      started:receive()
      error { code = 5 }
    end, forever(Channel())))
    assert.equal(Isolate.RemoteError, getmetatable(e))
    assert.equal(5, e.value.code)
    assert.is_true(alone())
  end)

  it("is cancelled as a whole", function()
    local started = Channel()
    local all = parallel(forever(started), forever(started))
    started:receive()
    started:receive()
    all:cancel()
    assert.equal(Isolate.CancelledError, getmetatable(failure(all)))
    assert.is_true(alone())
  end)

  it("starts nothing if one cannot be sent", function()
    local started = Channel()
    assert.equal("<here> cannot send fn.upvalue 'file': an open file stays in its isolate",
      complaint(function()
        local file = io.stdout
        local _ = parallel(forever(started), function() return file end)
      end))
    assert.is_true(alone())
    assert.equal("<here> bad argument #2 to 'parallel' (function expected, got number)",
      complaint(function() local _ = parallel(print, 2) end))
  end)

  it("fails unheard on stderr, once", function()
    local got = helper.lua([[
      local Isolate = require "isolate"
      Isolate.parallel(function() error("lost", 0) end, function() error("lost", 0) end)
      Isolate.loop()
    ]])
    assert.match("nobody asked for it: lost", got.stderr)
    assert.is_nil(got.stderr:match "lost.*lost\n.*nobody")
    assert.equal(0, got.status)
  end)
end)

describe("race", function()
  it("brings all values of the first, and kills the others", function()
    local started = Channel()
    assert.same({ "first", nil, 3, n = 3 }, table.pack(race(forever(started), function()
      started:receive()
      return "first", nil, 3
    end):await(GUARD)))
    assert.is_true(alone())
  end)

  it("is lost to an error, too", function()
    assert.equal("fell", failure(race(forever(Channel()),
      function() error("fell", 0) end)).message)
    assert.is_true(alone())
  end)

  it("is cancelled as a whole", function()
    local it = race(forever(Channel()), forever(Channel()))
    it:cancel()
    assert.is_true(alone())
  end)

  it("needs somebody to run", function()
    assert.equal("<here> bad argument #1 to 'race' (function expected, got no value)",
      complaint(function() local _ = race() end))
    assert.equal("<here> bad argument #1 to 'race' (function expected, got table)",
      complaint(function() local _ = race {} end))
  end)
end)

describe("scope", function()
  it("kills what still runs when it ends, and waits for that", function()
    local started = Channel()
    local handle, result
    do
      local scope <close> = Isolate.scope()
      handle = scope:spawn(forever(started))
      result = scope:run(forever(started))
      started:receive()
      started:receive()
    end
    assert.is_true(handle:join(0))
    assert.equal(1, #Isolate.list())
    assert.equal(Isolate.CancelledError, getmetatable(failure(result)))
  end)

  it("leaves what is done alone", function()
    local result
    do
      local scope <close> = Isolate.scope()
      result = scope:run(function(a) return a, 2 end, 1)
      result:await()
      scope:spawn(function() end):join()
    end
    assert.same({ 1, 2 }, { result:await() })
  end)

  it("ends with an error, too, which goes on", function()
    local started = Channel()
    local ok, why = pcall(function()
      local scope <close> = Isolate.scope()
      scope:run(forever(started))
      started:receive()
      error("the reason", 0)
    end)
    assert.same({ false, "the reason" }, { ok, why })
    assert.equal(1, #Isolate.list())
  end)

  it("ends with its task, and its isolate", function()
    local started = Channel()
    Isolate.async(function()
      local scope <close> = Isolate.scope()
      scope:spawn(forever(started))
      started:receive()
    end):await(GUARD)
    assert.equal(1, #Isolate.list())
    local owned = Channel()
    local owner = Isolate.spawn(function()
      local scope <close> = Isolate.scope()
      scope:spawn(forever(started))
      owned:send(true)
      while true do Isolate.sleep(1) end
    end, nil, { grace = 5 })
    started:receive()
    owned:receive()
    owner:kill(Isolate.immediate)
    owner:join()
    assert.is_true(alone())
  end)

  it("may be closed twice, and then raises", function()
    local scope = Isolate.scope()
    scope:close()
    scope:close()
    assert.equal("<here> this scope is closed", complaint(function() scope:spawn(print) end))
    assert.equal("<here> this scope is closed", complaint(function() scope:run(print) end))
  end)

  it("names what is wrong with arguments, and where", function()
    local scope <close> = Isolate.scope()
    assert.equal("<here> bad argument #1 to 'spawn' (function expected, got nil)"
      .. "; give the function itself, not what it returns", complaint(function() scope:spawn() end))
    assert.equal("<here> bad argument #3 to 'spawn' (unknown option 'nam')",
      complaint(function() scope:spawn(print, 1, { nam = 1 }) end))
    assert.equal("<here> cannot send argument[1]: an open file stays in its isolate",
      complaint(function() scope:run(print, io.stdout) end))
    assert.equal("<here> calling 'run' on bad self (Scope expected, got function)",
      complaint(function() scope.run(print) end))
    assert.equal("<here> calling 'close' on bad self (Scope expected, got nil)",
      complaint(function() scope.close() end))
  end)
end)
