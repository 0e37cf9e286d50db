-- first_message.lua: `first` takes one message and closes the port. The isolate sends it from a timer, which keeps the
-- isolate alive until then.
-- Run it:  lua5.4 examples/tutorial/first_message.lua   (a fraction of a second where the tutorial waits for two)
local Isolate = require "isolate"

local function my_isolate(send_port)
  Isolate.Future.delayed(0.1, function() send_port:send "hello world" end)
end

local port = Isolate.ReceivePort()
Isolate.spawn(my_isolate, port.send_port)

local data = port:first():await()
print("main isolate... data read : " .. data)
print(port:receive())                                  -- no use any more

--[[ Output:
main isolate... data read : hello world
nil	closed
]]
