-- The program ends while thousands wait: each is stopped in time, and nothing is said
-- of any. (Their end was given a fixed moment once, and each step of the way through
-- the list of isolates began at its head: of thousands, some were left.)

local Isolate = require "isolate"
local load    = require "spec.support.load"

local n = load.alive(load.size(5000, 100))

local inbox = Isolate.ReceivePort()
for _ = 1, n do
  Isolate.spawn(function(home)
    home:send "on"
    Isolate.sleep(1000)
  end, inbox.send_port)
end
for _ = 1, n do inbox:receive() end
load.check(#Isolate.list() == n + 1, "%d are listed of %d", #Isolate.list(), n + 1)

local last = 0
for _, entry in ipairs(Isolate.list()) do
  load.check(entry.id > last, "the list is not in the order of their birth")
  last = entry.id
end

print(("%d isolates alive at the end"):format(n))
os.exit(0, math.random(2) == 1)
