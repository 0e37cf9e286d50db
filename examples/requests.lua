-- requests.lua: many requests to a slow server, one after the other, then eight at a time by a pool.
-- The server, which the example starts in an isolate of its own, needs 20 ms for an answer, but serves many at once.
-- Run it:  lua5.4 examples/requests.lua [number of requests]
local Isolate = require "isolate"
local now     = require "system".monotime

local serve, get                                       -- below

local function main()
  local started = Isolate.ReceivePort()
  local server = Isolate.spawn(serve, started.send_port, { name = "server" })
  local port = started:first():await()

  local urls = {}
  for i = 1, tonumber(arg[1]) or 64 do urls[i] = ("http://127.0.0.1:%d/page/%d"):format(port, i) end

  local start = now()
  for i = 1, #urls // 8 do get(urls[i]) end
  local one = (now() - start) * 8

  local pool <close> = Isolate.Pool { size = 8 }
  start = now()
  local pages = pool:map(get, urls, { chunk = 1 })
  local all = now() - start

  print(("%d pages; the last one says: %s"):format(#pages, pages[#pages]))
  print(("one by one %.2f s, eight at a time %.2f s: %.2f times as fast"):format(one, all, one / all))
  server:kill(Isolate.immediate)
end

-- Runs in a worker: the body of the page.
function get(url)
  local body, status = require "socket.http".request(url)
  if status ~= 200 then error(("%s: %s"):format(url, status)) end
  return body
end

-- The server's isolate: tells its port, then answers each request 20 ms after it came.
function serve(tell)
  local socket = require "socket"
  local listener = assert(socket.bind("127.0.0.1", 0))
  tell:send((select(2, listener:getsockname())))
  local waiting, due = { listener }, {}                -- connections; client -> when and what to answer
  while true do
    local ready = socket.select(waiting, nil, next(due) and 0.001 or 0.05)  -- a C call: a kill waits for it
    for _, it in ipairs(ready) do
      if it == listener then
        waiting[#waiting + 1] = listener:accept()
      else
        local path = (it:receive "*l" or ""):match "^GET (%S+)"
        repeat local line = it:receive "*l" until not line or line == ""
        for i = #waiting, 2, -1 do if waiting[i] == it then table.remove(waiting, i) end end
        due[it] = { at = socket.gettime() + 0.02, body = "this is " .. tostring(path) }
      end
    end
    for client, answer in pairs(due) do
      if socket.gettime() >= answer.at then
        client:send(("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#answer.body, answer.body))
        client:close()
        due[client] = nil
      end
    end
  end
end

main()

--[[ Output:
64 pages; the last one says: this is /page/64
one by one <n> s, eight at a time <n> s: <n> times as fast
]]
