-- frame.lua
-- The frame of the benchmarks. Ours, the floor and the others take turns, each in a fresh process that prints
-- seconds per operation; a row is measured by what they printed. The ratio is the median of the ratios of the
-- rounds: the machine may change its speed between two rounds, and less often within one.
--
-- A row has a name as [1], its `unit`, and commands: `ours`, and where there are any `floor` and `others`, a list of
-- {name, command} or {name, number} for a figure that was published; a `goal`, if there is one; and `rounds`, if they
-- are to be fewer, and without a warm-up. A row with `sizes` shows growth: its commands have a %d for each size (two %d:
-- the size, and how often it fits in `budget`), and what counts is how the ratio to the floor changes from size to size;
-- beside it how the time of one changes by itself, ours and the floor's (`whole`: the commands print the time of all).

local now = require "system".monotime

local frame = {}

-- How seconds are shown. A rate is what grows as the seconds get less; `more` says that a greater number is a better one.
frame.units = {
  us      = {name = "µs",  show = function(s) return s * 1e6 end},
  ms      = {name = "ms",  show = function(s) return s * 1e3 end},
  rate    = {name = "M/s", show = function(s) return 1e-6 / s end, inverse = true},
  kib     = {name = "KiB", show = function(bytes) return bytes / 1024 end},
  percent = {name = "%",   show = function(part) return part * 100 end},
  number  = {name = "",    show = function(n) return n end},
  count   = {name = "",    show = function(n) return n end, more = true},
  growth  = {name = "×",   show = function(n) return n end},
}

-- Goals: what is printed, whether the medians of ours and of the floor, and the ratio, meet it, and where it lies as
-- seconds (or whatever ours is) beside this floor.

-- At most so many times the floor.
function frame.at_most(limit)
  return {
    text = ("≤ %.3g ×"):format(limit),
    met = function(_, _, ratio) return ratio <= limit end,
    place = function(floor) return (floor or 1) * limit end,
  }
end

-- At least so many times the floor: for rates.
function frame.at_least(limit)
  return {
    text = ("≥ %.3g ×"):format(limit),
    met = function(_, _, ratio) return ratio >= limit end,
    place = function(floor) return floor / limit end,
  }
end

-- At most so many seconds more than the floor.
function frame.floor_plus(seconds)
  return {
    text = ("≤ floor + %g ms"):format(seconds * 1000),
    met = function(ours, floor) return ours <= floor + seconds end,
    place = function(floor) return floor + seconds end,
  }
end

-- At most this number, as the side prints it, whatever the floor; `text` is how it is shown.
function frame.no_more_than(number, text)
  return {
    text = "≤ " .. (text or ("%g"):format(number)),
    met = function(ours) return ours <= number end,
    place = function() return number end,
  }
end

-- At least this number.
function frame.no_less_than(number)
  return {
    text = ("≥ %d"):format(number),
    met = function(ours) return ours >= number end,
    place = function() return number end,
  }
end

-- A number that the system tells of this process: "VmRSS" in KiB, "Threads".
function frame.status(field)
  local status <close> = assert(io.open "/proc/self/status")
  return tonumber(status:read "a":match(field .. ":%s*(%d+)"))
end

-- Runs a Lua program, given as text, in two plain processes at once, each with an argument: the seconds until both have
-- printed a number, and these.
function frame.two_processes(text, one_argument, other_argument)
  local program = os.tmpname()
  local file <close> = assert(io.open(program, "w"))
  file:write(text)
  file:close()
  local command = ("'%s' %s %%d"):format(arg[-1], program)
  local start = now()
  local one, other = io.popen(command:format(one_argument)), io.popen(command:format(other_argument))
  local one_number, other_number = one:read "n", other:read "n"
  local seconds = now() - start
  one:close()
  other:close()
  os.remove(program)
  return seconds, assert(one_number), assert(other_number)
end

-- Runs a shell command: the number that it printed, and for each line "name number" after it, {name, number} in a list;
-- or nil.
local function measure(command)
  local pipe = assert(io.popen(command))
  local number, details = pipe:read "n", {}
  pipe:read "l"
  for line in pipe:lines() do
    local name, detail = line:match "^(.*) (%S+)$"
    table.insert(details, {name, tonumber(detail)})
  end
  if pipe:close() then return number, details end
end

-- Runs the commands, a list of {name, command}, in turn: once if they are to `warm_up`, then `rounds` times. For each name
-- a list of the numbers they printed; one that fails is not run again, and has no list. And a list of {name, numbers} for
-- what the first of them printed besides.
local function take_turns(commands, rounds, warm_up)
  local lists, besides = {}, {}
  for _, turn in ipairs(commands) do lists[turn[1]] = (not warm_up or measure(turn[2])) and {} or nil end
  for round = 1, rounds do
    for place, turn in ipairs(commands) do
      local list, number, details = lists[turn[1]], nil, nil
      if list then number, details = measure(turn[2]) end
      if number then list[round] = number else lists[turn[1]] = nil end
      for i, detail in ipairs(place == 1 and details or {}) do
        besides[i] = besides[i] or {detail[1], {}}
        besides[i][2][round] = detail[2]
      end
    end
  end
  return lists, besides
end

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

function frame.median(list)
  local middle = (#list + 1) / 2
  list = sorted(list)
  return (list[math.floor(middle)] + list[math.ceil(middle)]) / 2
end

-- The median of ours / floor, round by round; of the rates, where they are.
local function compare(ours, floor, unit)
  local ratios = {}
  for round, seconds in ipairs(ours) do
    ratios[round] = unit.inverse and floor[round] / seconds or seconds / floor[round]
  end
  return frame.median(ratios)
end

-- Whether the goal is met: "yes", "no", or "" where that cannot be said.
local function verdict(row, ours, floor, ratio)
  if not row.goal or not ours or (row.floor and not floor) then return "" end
  return row.goal.met(frame.median(ours), floor and frame.median(floor), ratio) and "yes" or "no"
end

-- A row whose commands are run.
local function measure_plain(row, rounds, shell)
  rounds = math.min(rounds, row.rounds or rounds)
  local commands, others = {{"ours", shell(row.ours)}}, {}
  if row.floor then commands[2] = {"floor", shell(row.floor)} end
  for _, other in ipairs(row.others or {}) do
    if type(other[2]) == "string" then table.insert(commands, {other[1], shell(other[2])}) end
  end
  local lists, besides = take_turns(commands, rounds, not row.rounds)
  local ours, floor = lists.ours, lists.floor
  for _, detail in ipairs(besides) do table.insert(others, {detail[1], frame.median(detail[2]), own = true}) end
  for _, other in ipairs(row.others or {}) do
    local list = lists[other[1]]
    local number = type(other[2]) == "number" and other[2] or list and frame.median(list)
    table.insert(others, {other[1], number, published = type(other[2]) == "number"})
  end
  local unit = frame.units[row.unit]
  local ratio = ours and floor and compare(ours, floor, unit)
  return {
    name = row[1], unit = unit, ours = ours and sorted(ours), has_floor = row.floor ~= nil,
    floor = floor and frame.median(floor), ratio = ratio, goal = row.goal, met = verdict(row, ours, floor, ratio),
    others = others,
  }
end

local function worst_by_best(list) return math.max(table.unpack(list)) / math.min(table.unpack(list)) end

-- A row of growth: the ratios to the floor, one for each size, take the place of ours, and the worst divided by the
-- best that of the ratio.
local function measure_growth(row, rounds, shell)
  local ours, others, unit = {}, {}, frame.units[row.unit]
  local alone, floor_alone = {}, {}
  for _, size in ipairs(row.sizes) do
    local function sized(command) return command:format(size, math.max(1, (row.budget or 0) // size)) end
    local part = measure_plain({
      row[1], unit = row.unit, ours = sized(row.ours), floor = sized(row.floor), rounds = row.rounds,
    }, rounds, shell)
    local ratio = part.ratio and (unit.inverse and 1 / part.ratio or part.ratio)
    table.insert(ours, ratio)
    table.insert(others, {("%d:"):format(size), ratio, own = true})
    local count = row.whole and size or 1
    table.insert(alone, part.ours and frame.median(part.ours) / count)
    table.insert(floor_alone, part.floor and part.floor / count)
  end
  local complete = #ours == #row.sizes  -- else one failed
  if complete then
    table.insert(others, {"by itself", worst_by_best(alone), own = true})
    table.insert(others, {"floor by itself", worst_by_best(floor_alone), own = true})
  end
  ours = sorted(ours)
  local ratio = complete and ours[#ours] / ours[1] or nil
  return {
    name = row[1], unit = frame.units.growth, ours = complete and ours, has_floor = false, ratio = ratio, growth = true,
    goal = row.goal, met = ratio and (row.goal.met(nil, nil, ratio) and "yes" or "no") or "", others = others,
  }
end

-- Measures one row: its `name`, `unit`, the sorted numbers of `ours` (nil if they failed), the median of the `floor`
-- (nil if it failed or there is none: `has_floor`), `ratio`, `goal`, `met`, and `others`: a list of {name, number or nil,
-- published = it was not measured here, own = it is a detail of ours}. `shell` makes a shell command of a command.
function frame.measure(row, rounds, shell)
  return (row.sizes and measure_growth or measure_plain)(row, rounds, shell)
end

return frame
