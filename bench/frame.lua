-- frame.lua
-- The frame of the benchmarks. Ours, the floor and the others take turns, each in a fresh process that prints
-- seconds per operation; a row of the table is made of what they printed. The ratio is the median of the ratios of the
-- rounds: the machine may change its speed between two rounds, and less often within one.

local frame = {}

-- How seconds are shown. A rate is what grows as the seconds get less.
local units = {
  us     = {name = "µs",  show = function(s) return s * 1e6 end},
  ms     = {name = "ms",  show = function(s) return s * 1e3 end},
  rate   = {name = "M/s", show = function(s) return 1e-6 / s end, inverse = true},
  number = {name = "",    show = function(s) return s end},
}

-- Goals: what is printed, and whether the medians of ours and of the floor, and the ratio, meet it.

-- At most so many times the floor.
function frame.at_most(limit)
  return {text = ("≤ %g ×"):format(limit), met = function(_, _, ratio) return ratio <= limit end}
end

-- At least so many times the floor: for rates.
function frame.at_least(limit)
  return {text = ("≥ %g ×"):format(limit), met = function(_, _, ratio) return ratio >= limit end}
end

-- At most so many seconds more than the floor.
function frame.floor_plus(seconds)
  return {
    text = ("≤ floor + %g ms"):format(seconds * 1000),
    met = function(ours, floor) return ours <= floor + seconds end,
  }
end

-- At most this number, whatever the floor.
function frame.no_more_than(number)
  return {text = ("≤ %g"):format(number), met = function(ours) return ours <= number end}
end

-- Runs a shell command: the number that it printed, or nil.
local function measure(command)
  local pipe = assert(io.popen(command))
  local number = pipe:read "n"
  return pipe:close() and number or nil
end

-- Runs the commands, a list of {name, command}, in turn: once to warm up, then `rounds` times. For each name a list of
-- the numbers they printed; one that fails is not run again, and its list is empty.
local function take_turns(commands, rounds)
  local lists = {}
  for _, turn in ipairs(commands) do lists[turn[1]] = measure(turn[2]) and {} end
  for round = 1, rounds do
    for _, turn in ipairs(commands) do
      local list = lists[turn[1]]
      local number = list and measure(turn[2])
      if number then list[round] = number else lists[turn[1]] = nil end
    end
  end
  return lists
end

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

local function median(list)
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
  return median(ratios)
end

-- Three digits that count.
local function digits(number)
  return (number >= 100 and "%.0f" or number >= 10 and "%.1f" or "%.2f"):format(number)
end

local function spread(list, unit)
  if not list then return "failed" end
  local shown = {}
  for i, seconds in ipairs(list) do shown[i] = unit.show(seconds) end
  shown = sorted(shown)
  return ("%s / %s / %s"):format(digits(shown[1]), digits(median(shown)), digits(shown[#shown]))
end

local function middle(list, unit)
  return list and digits(unit.show(median(list))) or "failed"
end

-- Whether the goal is met: "yes", "no", or "" where that cannot be said.
local function verdict(row, ours, floor, ratio)
  if not row.goal or not ours or (row.floor and not floor) then return "" end
  return row.goal.met(median(ours), floor and median(floor), ratio) and "yes" or "no"
end

-- Measures one row of the table, and returns its cells. `row` has a name as [1], its `unit`, and commands: `ours`, and
-- where there are any `floor` and `others`, a list of {name, command}; and a `goal`, if there is one. `shell` makes a
-- shell command of a command.
function frame.row(row, rounds, shell)
  local unit, others = units[row.unit], row.others or {}
  local commands = {{"ours", shell(row.ours)}}
  if row.floor then commands[2] = {"floor", shell(row.floor)} end
  for _, other in ipairs(others) do table.insert(commands, {other[1], shell(other[2])}) end
  local lists = take_turns(commands, rounds)
  local ours, floor = lists.ours, lists.floor
  local ratio = ours and floor and compare(ours, floor, unit)
  local texts = {}
  for i, other in ipairs(others) do texts[i] = other[1] .. " " .. middle(lists[other[1]], unit) end
  return {
    row[1], unit.name, spread(ours, unit), row.floor and middle(floor, unit) or "", ratio and digits(ratio) or "",
    row.goal and row.goal.text or "", verdict(row, ours, floor, ratio), table.concat(texts, " · "),
  }
end

local titles = {"measure", "", "ours: min / median / max", "floor", "ratio", "goal", "met", "others"}

-- Writes rows of cells as a table, with columns as wide as their widest cell.
function frame.print(rows, out)
  local widths = {}
  local lines = {titles, table.unpack(rows)}
  for _, cells in ipairs(lines) do
    for i, cell in ipairs(cells) do widths[i] = math.max(widths[i] or 0, utf8.len(cell)) end
  end
  for _, cells in ipairs(lines) do
    local padded = {}
    for i, cell in ipairs(cells) do padded[i] = cell .. (" "):rep(widths[i] - utf8.len(cell)) end
    out:write((table.concat(padded, "  "):gsub("%s+$", "")), "\n")
  end
end

return frame
