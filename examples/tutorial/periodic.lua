-- periodic.lua: an isolate sends a count again and again, until the listener has had enough and closes its port. The
-- sender does not notice: its timer goes on, what it sends is dropped. It takes a kill to end it.
-- Run it:  lua5.4 examples/tutorial/periodic.lua        (20 ms where the tutorial waits for a second)
local Isolate = require "isolate"

local count, ping                                      -- below

local function main()
  local port = Isolate.ReceivePort()
  local isolate = Isolate.spawn(count, port.send_port)
  port:listen(function(data)
    if data > 5 then port:close() else print("receive : " .. data) end
  end)
  Isolate.loop()                                       -- until the port is closed

  print("the isolate lives on:", ping(isolate))
  isolate:kill(Isolate.immediate)
  print("it has ended:", isolate:join())
end

-- Runs in the isolate.
function count(send_port)
  local counter = 0
  Isolate.Timer.periodic(0.02, function()
    counter = counter + 1
    send_port:send(counter)
  end)
end

-- Waits until `isolate` has answered.
function ping(isolate)
  local port <close> = Isolate.ReceivePort()
  isolate:ping(port.send_port, true)
  return port:receive()
end

main()

--[[ Output:
receive : 1
receive : 2
receive : 3
receive : 4
receive : 5
the isolate lives on:	true
it has ended:	true
]]
