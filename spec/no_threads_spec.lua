-- no_threads_spec.lua
-- A host without threads: built with ISOLATE_NO_THREADS=1, `compute` runs in the
-- caller's loop, on copies, with the same results and errors; all that needs a
-- thread raises, and says so. Most cases run on both builds, and must agree.

local compile = require "spec.support.compile"
local helper = require "spec.helper"

-- A build without threads, in a directory of its own.
local build

local function without_threads(code)
  return helper.lua(code, { guard = 20, env = { LUA_CPATH_5_4 = build .. "/?.so;;" } })
end

-- Runs the program on both builds: they print the same, which is returned.
local function on_both(code)
  local one, other = helper.lua(code, { guard = 20 }), without_threads(code)
  assert.are.equal("", one.stderr)
  assert.are.equal("", other.stderr)
  assert.are.equal(one.stdout, other.stdout)
  return one.stdout
end

describe("A build without threads #host", function()
  setup(function()
    build = compile.core "ISOLATE_NO_THREADS=1"
  end)

  it("computes on copies, a turn later, with all results", function()
    assert.are.equal("later\n1\tnil\tthree\n1\n", on_both [[
      local Isolate = require "isolate"
      local list = { 1 }
      local answer = Isolate.compute(function(l)
        l[1] = l[1] + 1
        return #l, nil, "three"
      end, list)
      print(answer:is_done() and "at once" or "later")
      print(answer:await())
      print(list[1])
    ]])
  end)

  it("copies upvalues and results, and waits inside", function()
    assert.are.equal("5\t10\ttrue\n", on_both [[
      local Isolate = require "isolate"
      local n, shared = 5, {}
      local function count(by)
        local Isolate = require "isolate"
        n = n + by
        Isolate.sleep(0.01)
        return n, shared
      end
      local function main()
        local got, other = Isolate.compute(count, 5):await()
        print(n, got, other ~= shared)
      end
      main()
    ]])
  end)

  it("fails as an isolate does", function()
    assert.are.equal("script.lua:3: no\tscript.lua:3\ttrue\n7\ttrue\n" ..
                     "cannot send result[1]: a coroutine stays in its isolate\n", on_both [[
      local Isolate = require "isolate"
      local ok, e
      local function text() error "no" end
      ok, e = pcall(function() return Isolate.compute(text):await() end)
      print(e.message, e.isolate, getmetatable(e) == Isolate.RemoteError)
      local function object() error { code = 7 } end
      ok, e = pcall(function() return Isolate.compute(object):await() end)
      print(e.value.code, e.traceback:find "script.lua:6" ~= nil)
      ok, e = pcall(function()
        return Isolate.compute(function() return coroutine.create(print) end):await()
      end)
      print(e.message)
    ]])
  end)

  it("raises at the call for what cannot be sent", function()
    assert.are.equal("script.lua:2: cannot send message.f: a coroutine stays in its isolate\n", on_both [[
      local Isolate = require "isolate"
      print(select(2, pcall(function() Isolate.compute(print, { f = coroutine.create(print) }) end)))
    ]])
  end)

  it("knows timeout and cancel", function()
    assert.are.equal("TimeoutError\nCancelledError\nnever called\n", on_both [[
      local Isolate = require "isolate"
      local slow = function() require "isolate".sleep(30) end
      local ok, e = pcall(function() return Isolate.compute(slow, nil, { timeout = 0.05 }):await() end)
      print(e.name)
      local answer = Isolate.compute(function()  -- a thread may begin it before the cancel
        require "isolate".sleep(30)
        print "called"
      end)
      answer:cancel()
      ok, e = pcall(answer.await, answer)
      print(e.name)
      print "never called"
      os.exit(0, true)
    ]])
  end)

  -- The timer of the timeout went on, and kept the program alive.
  it("ends at once when what had a timeout is cancelled", function()
    assert.are.equal("CancelledError\ttrue\n", on_both [[
      local Isolate = require "isolate"
      local answer = Isolate.compute(function() end, nil, { timeout = 3600 })
      answer:cancel()
      local ok, e = pcall(answer.await, answer)
      print(e.name, Isolate.timeout() == nil)
      os.exit(0, true)
    ]])
  end)

  it("raises clearly for what needs a thread", function()
    local result = without_threads [[
      local Isolate = require "isolate"
      for _, start in ipairs {
        function() Isolate.run(print) end,
        function() Isolate.spawn(print) end,
        function() Isolate.spawn_file("script.lua") end,
        function() Isolate.Agent(function() end) end,
      } do
        local ok, e = pcall(start)
        print(e)
      end
      print(#Isolate.list())
      local port = Isolate.ReceivePort()
      port.send_port:send "ports work"
      print(port:receive())
      port:close()
    ]]
    assert.are.equal("", result.stderr)
    local line = "IsolateSpawnError: this build has no threads; Isolate.compute works without\n"
    assert.are.equal(line:rep(4) .. "1\nports work\n", result.stdout)
  end)
end)
