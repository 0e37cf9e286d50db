-- squares.lua: two isolates that send each other tables, and look at the keys to know what came.
-- The tutorial's timer is never cancelled, and its port is closed right after 'bye', which would lose an answer that is
-- late, as a tick before the other's port is known loses a number. Here the timer ends, and nothing is lost.
-- Run it:  lua5.4 examples/tutorial/squares.lua         (20 ms where the tutorial waits for a second)
local Isolate = require "isolate"

local my_isolate                                       -- below

local function main()
  local main_port = Isolate.ReceivePort()
  Isolate.spawn(my_isolate, main_port.send_port, {on_exit = main_port.send_port})

  local iso_port
  main_port:listen(function(message)
    if not message then                                -- nil: the isolate has ended
      main_port:close()
    elseif message.port then
      iso_port = message.port
    elseif message.msg then
      print("msg : " .. message.msg)
    end
  end)

  local count = 0
  Isolate.Timer.periodic(0.02, function(timer)
    if not iso_port then return end                    -- not there yet: the next tick will do
    count = count + 1
    if count < 6 then
      iso_port:send {msg = count}
    else
      iso_port:send {msg = "bye"}
      timer:cancel()
    end
  end)
  Isolate.loop()
end

-- Runs in the isolate: tells its port, then squares numbers until it hears 'bye'.
function my_isolate(main_port)
  local iso_port = Isolate.ReceivePort()
  main_port:send {port = iso_port.send_port}
  iso_port:listen(function(message)
    if message.msg ~= "bye" then
      main_port:send {msg = message.msg * message.msg}
    else
      iso_port:close()
    end
  end)
end

main()

--[[ Output:
msg : 1
msg : 4
msg : 9
msg : 16
msg : 25
]]
