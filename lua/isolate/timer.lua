--- Timers in the order of their deadlines; equal ones in the order of their
-- making. A binary heap, without a clock of its own: whoever uses it says what
-- time it is.
--
-- Even a call may raise for lack of memory. So nothing is called while the heap
-- is in disorder, and what needs memory comes first.

local Timers = {}
Timers.__index = Timers

-- Puts `timer` where it belongs in a heap of `n`: place `i` is free, others move
-- there from above or below.
local function put(heap, n, i, timer)
  local deadline, order = timer.deadline, timer.order
  while i > 1 do
    local parent = heap[i // 2]
    if parent.deadline < deadline
      or parent.deadline == deadline and parent.order < order then break end
    heap[i] = parent
    parent.place = i
    i = i // 2
  end
  while 2 * i <= n do
    local at = 2 * i
    local child, other = heap[at], at < n and heap[at + 1]
    if other and (other.deadline < child.deadline
      or other.deadline == child.deadline and other.order < child.order) then
      child, at = other, at + 1
    end
    if deadline < child.deadline
      or deadline == child.deadline and order < child.order then break end
    heap[i] = child
    child.place = i
    i = at
  end
  heap[i] = timer
  timer.place = i
end

--- Adds a table, which gets the fields `deadline`, `order` and `place`.
function Timers:add(timer, deadline)
  local n, made = self.n + 1, self.made + 1
  timer.deadline, timer.order, timer.place = deadline, made, false
  put(self, n - 1, n, timer)
  self.n, self.made = n, made
end

--- Gives a timer that is in another deadline, as if it had been made now. Needs
-- no memory.
function Timers:move(timer, deadline)
  local made = self.made + 1
  timer.deadline, timer.order, self.made = deadline, made, made
  put(self, self.n, timer.place, timer)
end

--- Takes a timer out; false if it is not in.
function Timers:remove(timer)
  local i, n = timer.place, self.n
  if not i then return false end
  if i < n then put(self, n - 1, i, self[n]) end
  self[n] = nil
  self.n = n - 1
  timer.place = false
  return true
end

--- The first timer if it is due at `now` and was made no later than number
-- `made`: so that a timer which makes new ones does not go on for ever. It stays
-- in: whoever serves it takes it out, or moves it.
function Timers:due(now, made)
  local first = self[1]
  if first and first.deadline <= now and first.order <= made then return first end
end

return Timers
