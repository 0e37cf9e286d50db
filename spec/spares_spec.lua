-- spares_spec.lua
-- The memory of messages (src/spares.c): blocks of 25 sizes, which go from state to state.

local helper = require "spec.helper"

-- What `code` prints.
local function prints(code)
  local result = helper.lua('local Isolate = require "isolate"\n' .. code, {guard = 60})
  assert.are.equal("", result.stderr)
  return result.stdout
end

describe("Messages of all sizes", function()
  -- What a message mentions lies behind its bytes: at the end of a block or, one byte later, of a larger one.
  it("come with what they hold and with the ports that they mention", function()
    assert.are.equal("9000\n", prints [[
      local port <close> = Isolate.ReceivePort()
      Isolate.spawn(function(reply)
        local port <close> = Isolate.ReceivePort()
        reply:send(port.send_port)
        for _, message in port:messages() do
          if not message then break end
          reply:send(message)
        end
      end, port.send_port)
      local echo = port:receive()
      local letters = ("abcdefghijklmnop"):rep(600)
      local good = 0
      for size = 1, 9000 do
        local text = letters:sub(size % 16 + 1, size % 16 + size)
        local others, same = {}, 0
        for i = 1, size % 5 do others[i] = Isolate.ReceivePort() end
        local ports = {}
        for i, other in ipairs(others) do ports[i] = i % 2 == 0 and other.send_port or echo end
        echo:send {text, ports}
        local came = port:receive()
        for i = 1, #came[2] do if came[2][i] == ports[i] then same = same + 1 end end
        if came[1] == text and same == #ports then good = good + 1 end
        for _, other in ipairs(others) do other:close() end
      end
      echo:send(false)
      print(good)
    ]])
  end)

  it("come in order, when many isolates send and receive at once", function()
    assert.are.equal(("true\n"):rep(3), prints [[
      local port <close> = Isolate.ReceivePort()
      local function sender(task)
        local to, first = task.to, task.first
        for i = 1, 3000 do
          local size = (i * 37 + first) % 1500
          to:send {first, i, ("x"):rep(size), to}
        end
      end
      for first = 1, 3 do Isolate.spawn(sender, {to = port.send_port, first = first}) end
      local last, good = {0, 0, 0}, {true, true, true}
      for _ = 1, 9000 do
        local message = port:receive()
        local first, i = message[1], message[2]
        good[first] = good[first] and i == last[first] + 1 and #message[3] == (i * 37 + first) % 1500
          and message[4] == port.send_port
        last[first] = i
      end
      for first = 1, 3 do print(good[first]) end
    ]])
  end)
end)

-- MiB of the process, for the programs below.
local MEMORY = [[
  local status = require "spec.support.status"
  local function memory() return status "VmRSS" / 1024 end
  local before = memory()
]]

-- The sanitizers have an allocator of their own.
describe("The memory of a flood #host", function()
  local it = helper.slow == 1 and it or pending

  it("goes back when nobody has needed it for a second, whatever the size of its messages", function()
    assert.are.equal("true\ttrue\n", prints(MEMORY .. [[
      local port <close> = Isolate.ReceivePort()
      local function flood(size, n)
        local text = ("x"):rep(size)
        for _ = 1, n do port.send_port:send(text) end
        local full = memory()
        for _ = 1, n do port:receive() end
        return full
      end
      local full = 0
      for _, size in ipairs {50, 150, 700, 3000, 8000} do full = math.max(full, flood(size, 30000000 // size)) end
      collectgarbage()
      Isolate.run(function() end):await()
      Isolate.sleep(1.5)
      print(full - before > 25, memory() - before < 8)
    ]]))
  end)
end)

describe("What an isolate keeps of the messages that came #host", function()
  local it = helper.slow == 1 and it or pending

  -- It kept up to 32 KiB of each: 50 isolates had 54 MiB, of which their own heaps are 29.
  it("has a limit, when they are of many sizes, too", function()
    assert.are.equal("true\n", prints(MEMORY .. [[
      local port <close> = Isolate.ReceivePort()
      local ports = {}
      for i = 1, 50 do
        Isolate.spawn(function(reply)
          local port <close> = Isolate.ReceivePort()
          reply:send(port.send_port)
          local message
          repeat
            message = port:receive()
            if not message then
              collectgarbage()
              reply:send "all came"
            end
          until message == "end"
        end, port.send_port)
        ports[i] = port:receive()
      end
      for class = 1, 25 do
        local size = math.floor(90 * 2 ^ (class / 4))
        local text = ("x"):rep(size)
        for _, to in ipairs(ports) do
          for _ = 1, 40000 // size do to:send(text) end
          to:send(false)
          port:receive()
        end
      end
      Isolate.run(function() end):await()
      Isolate.sleep(1.5)
      print(memory() - before < 43)
      for _, to in ipairs(ports) do to:send "end" end
    ]]))
  end)
end)

describe("The message that an isolate begins with #host", function()
  local it = helper.slow == 1 and it or pending

  -- It stayed with the isolate when what it holds could not be built: as long as somebody had a handle or a port.
  it("is gone with the isolate, too, when it could not be built", function()
    assert.are.equal("10\ttrue\n", prints(MEMORY .. [[
      local port <close> = Isolate.ReceivePort()
      local text = ("x"):rep(10000000)
      local broken = setmetatable({}, {__transfer = function() return function() error "broken" end end})
      local handles, errors = {}, 0
      for i = 1, 10 do
        handles[i] = Isolate.spawn(print, {text, broken}, {on_error = port.send_port})
        if port:receive()[1]:find "broken" then errors = errors + 1 end
      end
      for _ = 1, 50 do
        if memory() - before > 40 then Isolate.sleep(0.1) end
      end
      print(errors, memory() - before < 40 and #handles == 10)
    ]]))
  end)
end)
