-- blocks_spec.lua
-- The allocator of isolates (src/blocks.c, src/slab.c): alone, against a model
-- (spec/host/blocks.c); and what a program sees of it, that memory goes back to
-- the system.

local compile = require "spec.support.compile"
local helper = require "spec.helper"

describe("The allocator #host", function()
  local program

  setup(function()
    program = compile.program("blocks", "-O1 -Wl,--wrap=malloc,--wrap=realloc src/blocks.c src/slab.c")
  end)

  local function play(rounds, refusing)
    local pipe <close> = assert(io.popen(("timeout %d %s %d %d 2>&1"):format(60 * helper.slow, program, rounds, refusing)))
    return pipe:read "a"
  end

  it("keeps what is in blocks, and gives all back", function()
    assert.are.equal("a few, 0\n", play(10, 0))
  end)

  it("does so where memory is refused now and then, and a block that shrinks has room", function()
    assert.are.equal("a few, 0\n", play(10, 3))
    assert.are.equal("a few, 0\n", play(10, 50))
  end)
end)

describe("The memory of isolates #host", function()
  -- Under a sanitizer blocks are the C library's, and the sanitizer keeps them.
  local it = helper.slow == 1 and it or pending

  -- What `code` prints; `memory()` there is the process's, in MB.
  local function prints(code)
    local result = helper.lua([[
      local Isolate = require "isolate"
      local status = require "spec.support.status"
      local function memory() return status "VmRSS" / 1024 end
    ]] .. code, {guard = 30})
    assert.are.equal("", result.stderr)
    return result.stdout
  end

  it("goes back to the system when what it made is garbage, and before it ends", function()
    assert.are.equal("true\ttrue\n", prints [[
      local before = memory()
      local full, after = Isolate.run(function()
        local all = {}
        for i = 1, 300000 do all[i] = {i} end
        local full = memory()
        all = nil
        collectgarbage()
        return full, memory()
      end):await()
      print(full - before > 25, after - before < (full - before) / 2)
    ]])
  end)

  it("goes back when they have ended", function()
    assert.are.equal("true\ttrue\n", prints [[
      local before = memory()
      local port = Isolate.ReceivePort()
      local others = {}
      for i = 1, 200 do
        others[i] = Isolate.spawn(function(reply)
          local port <close> = Isolate.ReceivePort()
          reply:send(port.send_port)
          port:receive()
        end, port.send_port, {on_exit = port.send_port})
        others[i] = port:receive()
      end
      local alive = memory()
      for i = 1, 200 do others[i]:send "end" end
      for _ = 1, 200 do port:receive() end
      port:close()
      Isolate.sleep(1.5)  -- what is ready for the next one is kept for a second
      print(alive - before > 8, memory() - before < (alive - before) / 3)
    ]])
  end)

  -- What tells of an isolate that it has ended is freed by its spawner's collector, maybe when nobody is there any more
  -- who would trim: a slab of each region stayed for ever.
  it("goes back when its spawner forgets it, long after", function()
    assert.are.equal("true\ttrue\n", prints [[
      local function regions()
        local kib, region = 0, false
        for line in io.lines "/proc/self/smaps" do
          local from, to, name = line:match "^(%x+)%-(%x+) %S+ %S+ %S+ %S+%s*(.*)$"
          if from then
            region = name == "" and tonumber(from, 16) % 2^21 == 0 and tonumber(to, 16) % 2^21 == 0
          elseif region then
            kib = kib + (tonumber(line:match "^Rss:%s+(%d+)") or 0)
          end
        end
        return kib / 1024
      end
      local port <close> = Isolate.ReceivePort()
      local others = {}
      for i = 1, 500 do
        others[i] = Isolate.spawn(function() end, nil, {on_exit = port.send_port})
      end
      for _ = 1, 500 do port:receive() end
      Isolate.sleep(1.5)
      local before = regions()
      others = nil
      for _ = 1, 3 do collectgarbage() end
      print(before > 0.2, before - regions() > 0.2)
    ]])
  end)
end)
