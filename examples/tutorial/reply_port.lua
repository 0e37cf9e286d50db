-- reply_port.lua: a request carries the port for its answer, so a worker serves whoever asks without knowing anybody.
-- The tutorial closes no port and never ends; here the answer closes the last one, and the worker is stopped.
-- Run it:  lua5.4 examples/tutorial/reply_port.lua
local Isolate = require "isolate"

local worker_isolate                                   -- below

local function main()
  local main_port = Isolate.ReceivePort()
  local worker = Isolate.spawn(worker_isolate, main_port.send_port)
  local worker_port = main_port:first():await()        -- closes main_port

  local response_port = Isolate.ReceivePort()
  worker_port:send {"Hello, Worker!", response_port.send_port}

  response_port:listen(function(message)
    print("메인 아이솔레이트에서 받은 메시지: " .. message)
    response_port:close()
    worker:kill()
  end)
  Isolate.loop()                                       -- until no port is open any more
end

-- Runs in the worker: sends its port to `main_port`, then answers requests.
function worker_isolate(main_port)
  local port = Isolate.ReceivePort()
  main_port:send(port.send_port)
  port:listen(function(message)
    local data, reply_port = table.unpack(message)
    reply_port:send("처리된 데이터: " .. data)
  end)
end

main()

--[[ Output:
메인 아이솔레이트에서 받은 메시지: 처리된 데이터: Hello, Worker!
]]
