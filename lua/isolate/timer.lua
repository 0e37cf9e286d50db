--- Timers in the order of their deadlines; equal ones in the order of their
-- making. A binary heap, without a clock of its own: whoever uses it says what
-- time it is.

local Timers = {}
Timers.__index = Timers

function Timers.new()
  return setmetatable({ n = 0, made = 0 }, Timers)
end

local function before(a, b)
  if a.deadline ~= b.deadline then return a.deadline < b.deadline end
  return a.order < b.order
end

local function up(heap, i)
  local timer = heap[i]
  while i > 1 and before(timer, heap[i // 2]) do
    heap[i] = heap[i // 2]
    heap[i].place = i
    i = i // 2
  end
  heap[i], timer.place = timer, i
end

local function down(heap, i)
  local timer, n = heap[i], heap.n
  while 2 * i <= n do
    local child = 2 * i
    if child < n and before(heap[child + 1], heap[child]) then child = child + 1 end
    if not before(heap[child], timer) then break end
    heap[i] = heap[child]
    heap[i].place = i
    i = child
  end
  heap[i], timer.place = timer, i
end

--- Adds a table, which gets the fields `deadline`, `order` and `place`.
function Timers:add(timer, deadline)
  self.made = self.made + 1
  self.n = self.n + 1
  timer.deadline, timer.order = deadline, self.made
  self[self.n] = timer
  up(self, self.n)
end

--- Takes a timer out; false if it is not in.
function Timers:remove(timer)
  local i = timer.place
  if not i then return false end
  local last = self[self.n]
  self[self.n] = nil
  self.n = self.n - 1
  timer.place = nil
  if last ~= timer then
    self[i], last.place = last, i
    up(self, i)
    down(self, last.place)
  end
  return true
end

--- The deadline of the first timer, or nil.
function Timers:next()
  local first = self[1]
  return first and first.deadline
end

--- Takes out the first timer if it is due at `now` and was made no later than
-- number `made`: so that a timer which makes new ones does not go on for ever.
function Timers:due(now, made)
  local first = self[1]
  if first and first.deadline <= now and first.order <= made then
    self:remove(first)
    return first
  end
end

return Timers
