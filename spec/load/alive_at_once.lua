-- Many isolates that live at the same time, and each answers.

local Isolate = require "isolate"
local load    = require "spec.support.load"

local n = load.alive(load.size(5000, 50))

local function member(message)
  local inbox <close> = Isolate.ReceivePort()
  message.to:send(inbox.send_port)
  for _, number in inbox:messages() do
    if number == "bye" then break end
    message.to:send(number + message.me)
  end
end

local function round()
  local inbox <close> = Isolate.ReceivePort()
  local ports = {}
  for i = 1, n do Isolate.spawn(member, { to = inbox.send_port, me = i }) end
  for i = 1, n do ports[i] = inbox:receive() end
  load.check(#Isolate.list() == n + 1, "%d are listed of %d", #Isolate.list(), n + 1)
  -- some of the round before may not have left when these began
  load.check(load.eventually(function() return load.threads() == n + 1 end),
    "there are %d threads, not %d", load.threads(), n + 1)
  local sum = 0
  for i = 1, n do ports[i]:send(i) end
  for _ = 1, n do sum = sum + inbox:receive() end
  load.check(sum == n * (n + 1), "the answers make %d, not %d", sum, n * (n + 1))
  for i = 1, n do ports[i]:send "bye" end
  while #Isolate.list() > 1 do Isolate.sleep(0.01) end
end

load.rounds(2, 3, round, ("%d isolates at once"):format(n))
