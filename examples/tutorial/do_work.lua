-- do_work.lua: a Completer holds the main isolate back until the worker says that it is set up. Both its messages may be
-- waiting by then: still the one who waited goes on before the next message is handled, so the order is always this one.
-- The tutorial never closes its port, and waits for ever if the worker dies; here the worker's end closes the port.
-- Run it:  lua5.4 examples/tutorial/do_work.lua
local Isolate = require "isolate"

local Worker = {}
Worker.__index = Worker

local READY <const> = "아이솔레이트 준비 완료"

local function main()
  local port = Isolate.ReceivePort()
  local ready = Isolate.Completer()

  Isolate.spawn(function(send_port)                    -- a closure, with the class that it uses
    send_port:send(READY)
    Worker.new():do_work(send_port)
  end, port.send_port, {on_exit = port.send_port})

  port:listen(function(message)
    if message == READY then
      ready:complete()
    elseif message then
      print(message)
    else                                               -- nil: the worker has ended
      port:close()
      if not ready:is_completed() then ready:complete_error "the worker did not start" end
    end
  end)

  ready.future:await()
  print "아이솔레이트 설정 완료, 작업 시작"
  Isolate.loop()
end

function Worker.new()
  return setmetatable({}, Worker)
end

function Worker:do_work(send_port)
  send_port:send "작업 완료"
end

main()

--[[ Output:
아이솔레이트 설정 완료, 작업 시작
작업 완료
]]
