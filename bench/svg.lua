-- svg.lua
-- Draws the results of the benchmarks, for people: a row for each, on a logarithmic scale of how many times the floor
-- each figure is, so that left is better everywhere. Rows without a floor have their goal at 1, and if there is none
-- either, what was published; of rows with none of these only the figure is shown.

local frame = require "bench.frame"
local digits = require "bench.report".digits

local svg = {}

-- The places of things, in pixels. The plot lies between `left` and `right`.
local WIDTH <const>, MARGIN <const> = 1000, 24
local LEFT <const>, RIGHT <const> = 330, 790
local ROW <const>, HEADING <const>, TOP <const> = 21, 34, 132

-- The ends of the scale.
local LEAST <const>, MOST <const> = 0.04, 40

local INK <const>, PALE <const>, GRID <const> = "#1f2328", "#656d76", "#d8dee4"
local MET <const>, MISSED <const>, PLAIN <const> = "#1a7f37", "#c2410c", "#0969da"

-- What else is drawn: who the names of `others` begin with.
local peers <const> = {
  {"luv", "#8250df", "circle"}, {"cqueues", "#bf3989", "square"}, {"Dart", "#0a7ea4", "diamond"},
}

local Drawing = {}
Drawing.__index = Drawing

function Drawing:add(text, ...)
  table.insert(self, text:format(...))
end

local function escape(text)
  return (text:gsub("[&<>\"]", {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;"}))
end

-- Text that begins, or by `anchor` ends or has its middle, at x.
function Drawing:text(x, y, text, style, anchor)
  self:add('<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>', x, y, anchor or "start", style or "", escape(text))
end

function Drawing:line(x1, y1, x2, y2, colour, width)
  self:add('<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" stroke-width="%s"/>', x1, y1, x2, y2, colour, width or 1)
end

-- The marks: {shape, colour, whether it is filled}.
function Drawing:mark(x, y, shape, colour, filled)
  local paint = ('fill="%s" stroke="%s" stroke-width="1.6"'):format(filled and colour or "#ffffff", colour)
  if shape == "circle" then
    self:add('<circle cx="%.1f" cy="%.1f" r="%s" %s/>', x, y, filled and 5 or 4, paint)
  elseif shape == "square" then
    self:add('<rect x="%.1f" y="%.1f" width="7" height="7" %s/>', x - 3.5, y - 3.5, paint)
  elseif shape == "diamond" then
    self:add('<path d="M%.1f %.1fl5 5l-5 5l-5 -5z" %s/>', x, y - 5, paint)
  end
end

-- A figure that is off the scale, to the left or to the right.
function Drawing:arrow(x, y, direction, colour)
  self:add('<path d="M%.1f %.1fl%d 5.5v-11z" fill="%s"/>', x, y, -direction * 9, colour)
end

-- A goal: a line, and a wedge upon it, which no mark hides.
function Drawing:goal(x, y)
  self:add('<path d="M%.1f %.1fv13" stroke="%s" stroke-width="1.6"/><path d="M%.1f %.1fl-4.5 -5h9z" fill="%s"/>',
    x, y - 5, INK, x, y - 4, INK)
end

-- Where so many times the floor is; what is off the scale is at its end.
local function place(times)
  local part = math.log(math.min(math.max(times, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
  return LEFT + part * (RIGHT - LEFT)
end

-- What the figures of a row are compared with, or nil.
local function reference(result)
  if result.growth then return 1 end  -- ratios are shown
  if result.has_floor then return result.floor end
  if result.goal then return result.goal.place() end
  for _, other in ipairs(result.others) do
    if other.published then return other[2] end
  end
end

-- A figure as times the reference, the greater the worse.
local function times(result, number)
  local base = reference(result)
  if base == 0 then return number == 0 and 1 or MOST end
  return result.unit.more and base / number or number / base
end

local function with_unit(result, number)
  local unit = result.unit
  return digits(unit.show(number)) .. (unit.name == "" and "" or " " .. unit.name)
end

local function draw_others(drawing, result, y)
  for _, other in ipairs(result.others) do
    for _, peer in ipairs(peers) do
      if not other.own and other[2] and other[1]:find("^" .. peer[1]) then
        drawing:mark(place(times(result, other[2])), y, peer[3], peer[2])
      end
    end
  end
end

-- Ours: a stem from the reference, a line from the least to the most, and the median.
local function draw_ours(drawing, result, y)
  local ours = result.ours
  local colour = result.met == "yes" and MET or result.met == "no" and MISSED or PLAIN
  local x = place(result.growth and result.ratio or times(result, frame.median(ours)))
  drawing:line(place(1), y, x, y, colour, 3)
  if not result.growth then
    drawing:line(place(times(result, ours[1])), y, place(times(result, ours[#ours])), y, colour, 1.2)
  end
  if x == LEFT or x == RIGHT then
    drawing:arrow(x, y, x == LEFT and -1 or 1, colour)
  else
    drawing:mark(x, y, "circle", colour, true)
  end
end

-- The marks of a row: what others take, ours, the goal.
local function draw_marks(drawing, result, y)
  draw_others(drawing, result, y)
  draw_ours(drawing, result, y)
  if result.goal then
    local goal = result.goal.place(result.floor)
    drawing:goal(place(result.growth and goal or times(result, goal)), y)
  end
end

local function draw_row(drawing, result, y)
  drawing:text(MARGIN + 10, y + 4, (result.name:gsub("^%s+", "… ")), 'font-size="12.5"')
  if reference(result) then draw_marks(drawing, result, y) end
  local ours = with_unit(result, frame.median(result.ours))
  if result.growth then ours = digits(result.ratio) .. " ×" end
  drawing:text(RIGHT + 96, y + 4, ours, 'font-size="12.5" font-weight="600"', "end")
  if result.has_floor then
    drawing:text(WIDTH - MARGIN - 4, y + 4, with_unit(result, result.floor), ('font-size="12.5" fill="%s"'):format(PALE), "end")
  end
end

local function draw_scale(drawing, bottom)
  for _, mark in ipairs {0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20} do
    local x = place(mark)
    drawing:line(x, TOP - 12, x, bottom, mark == 1 and PALE or GRID, mark == 1 and 1.5 or 1)
    drawing:text(x, TOP - 18, ("%g ×"):format(mark), ('font-size="11" fill="%s"'):format(PALE), "middle")
  end
  local pale = ('font-size="11" fill="%s"'):format(PALE)
  drawing:text(RIGHT + 96, TOP - 18, "here", pale, "end")
  drawing:text(WIDTH - MARGIN - 4, TOP - 18, "floor", pale, "end")
end

local function draw_legend(drawing, y)
  local x = MARGIN
  local function item(text, draw, width)
    draw(x + 5, y - 4)
    drawing:text(x + 16, y, text, 'font-size="12"')
    x = x + width
  end
  local function ours(colour) return function(at, height) drawing:mark(at, height, "circle", colour, true) end end
  item("goal met", ours(MET), 90)
  item("goal missed", ours(MISSED), 106)
  item("no goal", ours(PLAIN), 84)
  item("goal", function(at, height) drawing:goal(at + 2, height) end, 64)
  item("1 ×: the floor; else the goal, else Dart", function(at, height)
    drawing:line(at, height - 7, at, height + 7, PALE, 1.5)
  end, 264)
  for _, peer in ipairs(peers) do
    item(peer[1] == "Dart" and "Dart, as published" or peer[1], function(at, height)
      drawing:mark(at, height, peer[3], peer[2])
    end, 26 + 8 * #peer[1])
  end
end

-- A drawing of results, with `about`, a line on when and where they were measured.
function svg.draw(results, about)
  local rows, drawing, y = setmetatable({}, Drawing), setmetatable({}, Drawing), TOP
  local title
  for _, result in ipairs(results) do
    if result.ours and (result.floor or not result.has_floor) then
      if result.title ~= title then
        title = result.title
        y = y + HEADING
        rows:add('<rect x="%d" y="%.1f" width="%d" height="22" rx="4" fill="#eef1f4"/>', MARGIN, y - 28, WIDTH - 2 * MARGIN)
        rows:text(MARGIN + 10, y - 13, title, 'font-size="12.5" font-weight="700"')
      end
      draw_row(rows, result, y + 4)
      y = y + ROW
    end
  end
  local height = y + 6
  drawing:add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
    .. 'font-family="system-ui, -apple-system, \'Segoe UI\', Helvetica, Arial, \'DejaVu Sans\', sans-serif" fill="%s">',
    WIDTH, height, WIDTH, height, INK)
  drawing:add '<title>isolate, measured</title>'
  drawing:add('<rect x="0.5" y="0.5" width="%d" height="%d" rx="10" fill="#ffffff" stroke="%s"/>', WIDTH - 1, height - 1, GRID)
  drawing:text(MARGIN, 36, "isolate: times the least that any implementation must do (left is better)",
    'font-size="18" font-weight="700"')
  drawing:text(MARGIN, 57, about, ('font-size="12.5" fill="%s"'):format(PALE))
  draw_legend(drawing, 84)
  draw_scale(drawing, height - 12)
  table.move(rows, 1, #rows, #drawing + 1, drawing)
  drawing:add '</svg>'
  return table.concat(drawing, "\n") .. "\n"
end

return svg
