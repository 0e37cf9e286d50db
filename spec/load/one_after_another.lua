-- Isolates one after the other: a run of a function that does nothing, and a
-- spawn that is joined, in turns.

local Isolate = require "isolate"
local load    = require "spec.support.load"

local n = load.size(1000, 25)

local function round()
  for i = 1, n do
    if i % 2 == 0 then
      load.check(Isolate.run(function() end):await() == nil, "an empty function gave a result")
    else
      load.check(Isolate.spawn(function() end):join() == true, "a join without a timeout ran out")
    end
  end
end

load.rounds(1, 9, round, ("%d isolates, one after the other"):format(10 * n))
