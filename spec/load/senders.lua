-- Several senders, one port: the messages of each arrive in order, each once.

local Isolate = require "isolate"
local load    = require "spec.support.load"

local senders, n = 8, load.size(20000, 500)

local function sender(message)
  for i = 1, message.n do message.to:send { from = message.me, n = i } end
end

local function round()
  local inbox <close> = Isolate.ReceivePort()
  local last = {}
  for i = 1, senders do
    last[i] = 0
    Isolate.spawn(sender, { to = inbox.send_port, me = i, n = n })
  end
  for _ = 1, senders * n do
    local message = inbox:receive()
    load.check(message.n == last[message.from] + 1, "of sender %d came %d after %d",
      message.from, message.n, last[message.from])
    last[message.from] = message.n
  end
  load.check(select(2, inbox:receive(0)) == "timeout", "a message more came")
end

load.rounds(2, 3, round, ("%d senders, %d messages each"):format(senders, 5 * n))
