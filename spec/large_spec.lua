-- large_spec.lua
-- Large blocks (src/large.c): the next message, or string, takes the memory of one
-- before; what nobody takes goes back to the system.

local compile = require "spec.support.compile"
local helper = require "spec.helper"

-- Runs `code` in a child process: what it prints. It has these functions:
--   status(name)             a number of /proc/self/status: of KiB, or of threads
--   faults()                 pages that the process has got so far
--   eventually(fn)           whether fn() has become true, sooner or later
--   drop(n)                  n messages of 40 MiB arrive, and are freed unread
local function prints(code, opts)
  local result = helper.lua([[
    local Isolate = require "isolate"
    local MIB <const> = 1 << 20
    status = require "spec.support.status"
    function faults()
      local file <close> = io.open "/proc/self/stat"
      return tonumber(file:read "a":match "%) %a %S+ %S+ %S+ %S+ %S+ %S+ (%d+)")
    end
    function eventually(fn)
      for _ = 1, 1000 do
        if fn() then return true end
        Isolate.sleep(0.01)
      end
      return false
    end
    local text
    function drop(n)
      local port = Isolate.ReceivePort()
      text = text or ("x"):rep(40 * MIB)
      for _ = 1, n do port.send_port:send(text) end
      port:close()
      Isolate.sleep(0)
    end
    function spawn_one() Isolate.run(function() end):await() end
  ]] .. code, opts or {guard = 30})
  assert.equal("", result.stderr)
  assert.equal(0, result.status, "signal " .. tostring(result.signal))
  return result.stdout
end

describe("Large blocks #host", function()
  -- The address sanitizer watches each block that is freed: so none is used again. The
  -- thread sanitizer has memory and threads of its own.
  local it = helper.slow == 1 and it or pending

  -- Each message took 1,000 page faults or more: twice as long as two copies; and where
  -- the pages had to come from a virtual machine's host, twenty times.
  it("are taken by the next message and the next string, which need no new pages", function()
    local pages = prints [[
      print(Isolate.run(function()
        local port = Isolate.ReceivePort()
        Isolate.spawn(function(reply)
          local inbox = Isolate.ReceivePort()
          reply:send(inbox.send_port)
          local texts = {("x"):rep(40 << 20), ("y"):rep(38 << 20)}
          for i, _ in inbox:messages() do reply:send(texts[i % 2 + 1]) end
        end, port.send_port)
        local other, before = port:receive(), nil
        for i = -5, 10 do
          if i == 0 then before = faults() end
          other:send "next"
          local text = port:receive()
          assert(#text == (text:sub(-1) == "x" and 40 or 38) * MIB)
          text = nil  -- luacheck: ignore
          collectgarbage()
        end
        return (faults() - before) // 11
      end):await())
      os.exit(true, true)
    ]]
    assert.is_true(tonumber(pages) < 300, "pages a message: " .. pages)
  end)

  it("go back to the system when nobody takes them, and so does the thread that waits for that", function()
    assert.equal("true\ttrue\ttrue\ttrue\n", prints [[
      spawn_one()
      drop(1)
      collectgarbage()
      eventually(function() return status "Threads" == 1 end)
      local before = status "VmRSS"
      drop(4)
      local kept, threads = status "VmRSS" - before, status "Threads"
      print(kept > 100 * 1024, threads == 2,
        eventually(function() return status "VmRSS" < before + 10 * 1024 end),
        eventually(function() return status "Threads" == 1 end))
    ]])
  end)

  it("are kept up to 256 MiB, and up to four", function()
    assert.equal("true\ttrue\n", prints [[
      spawn_one()
      drop(1)
      local before = status "VmRSS"
      drop(10)
      local four = status "VmRSS" - before
      text = ("x"):rep(257 * MIB)
      before = status "VmRSS"
      drop(1)
      print(four <= 4 * 40 * 1024, status "VmRSS" <= before + 10 * 1024)
    ]])
  end)

  it("are not kept where there was no isolate but the main one", function()
    assert.equal("true\t1\n", prints [[
      drop(1)
      local before = status "VmRSS"
      drop(3)
      print(status "VmRSS" < before + 10 * 1024, status "Threads")
    ]])
  end)

  -- What is kept is as good as free: whoever needs it has it, in whatever size.
  it("go back at once when there is no memory", function()
    assert.equal("true\ttrue\n", prints [[
      local port = Isolate.ReceivePort()
      spawn_one()
      local large = ("x"):rep(100 * MIB)
      local function limit(kib) os.execute("prlimit --pid $PPID --as=" .. kib * 1024 .. ":") end
      drop(4)
      limit(status "VmSize" + 20 * 1024)
      local sent = pcall(port.send_port.send, port.send_port, large)
      limit(1 << 32)
      port:close()
      drop(4)
      limit(status "VmSize" + 20 * 1024)
      print(sent, pcall(function()
        return Isolate.run(function()
          local all = {}
          for i = 1, 700000 do all[i] = {i} end
        end):await()
      end))
    ]])
  end)

  -- Where `require "forking"` finds spec/host/forking.c.
  local function with_forking()
    return {LUA_CPATH_5_4 = compile.library "forking" .. "/?.so;" .. package.cpath}
  end

  it("stay with the parent of a fork", function()
    assert.equal("exit\t0\ttrue\n", prints([[
      local forking = require "forking"
      spawn_one()
      drop(1)
      local before = status "VmRSS"
      drop(4)
      local id = forking.fork()
      if id == 0 then os.exit(status "VmRSS" < before + 10 * 1024) end
      local how, code = forking.wait(id)
      print(how, code, (eventually(function() return status "VmRSS" < before + 10 * 1024 end)))
    ]], {env = with_forking()}))
  end)

  -- What isolates share is freed under a lock of its own, and a fork takes all locks. It
  -- took the one of large blocks first, and then waited for who had the other, for ever.
  it("are freed by others while somebody forks", function()
    assert.equal("all\n", prints([[
      local forking = require "forking"
      local port = Isolate.ReceivePort()
      Isolate.spawn(function(reply)
        local names = {}
        for i, size in ipairs {18, 24, 32, 42, 56} do names[i] = ("x"):rep(size * MIB) end
        for i = 1, math.huge do  -- what cannot be sent is found when the name is copied
          assert(not pcall(Isolate.spawn, print, io.stdout, {name = names[i % 5 + 1]}))
          collectgarbage()
          if i == 5 then reply:send "busy" end
        end
      end, port.send_port)
      port:receive()
      for _ = 1, 300 do
        local id = forking.fork()
        if id == 0 then os.exit(true) end
        forking.wait(id)
      end
      print "all"
      os.exit(true, true)
    ]], {env = with_forking(), guard = 30}))
  end)
end)

describe("Large blocks of many isolates", function()
  it("are each one's own while it has them", function()
    assert.equal("true\n", prints(([[
      local SIZE <const>, TIMES <const> = 17 * MIB, %d
      local function exchange(which)
        local port <close> = Isolate.ReceivePort()
        local inbox = port.send_port
        for i = 1, TIMES do
          local c = string.char(which * 40 + i %% 40)
          inbox:send(c:rep(SIZE + (i + which) %% 5 * MIB // 2))
          local got = port:receive()
          if got ~= c:rep(#got) then return false end
          if i %% 3 == 0 then collectgarbage() end
        end
        return true
      end
      local futures = {}
      for which = 1, 3 do futures[which] = Isolate.run(exchange, which) end
      local good = true
      for _, future in ipairs(futures) do good = good and future:await() end
      print(good)
    ]]):format(helper.slow == 1 and 9 or 3), {guard = 60}))
  end)
end)
