-- report.lua
-- The results of the benchmarks as text: a table for a terminal, and a shorter one for the README.

local frame = require "bench.frame"

local report = {}

-- Three digits that count.
function report.digits(number)
  local size = math.abs(number)
  if number == math.floor(number) and size < 1e6 then return ("%d"):format(number) end
  return (size >= 100 and "%.0f" or size >= 10 and "%.1f" or size >= 0.1 and "%.2f" or "%.3f"):format(number)
end

local digits = report.digits

local function spread(result)
  local list, show = result.ours, result.unit.show
  if not list then return "failed" end
  local low, high = show(list[1]), show(list[#list])
  if low > high then low, high = high, low end
  return ("%s / %s / %s"):format(digits(low), digits(show(frame.median(list))), digits(high))
end

local function others(result)
  local texts = {}
  for i, other in ipairs(result.others) do
    texts[i] = other[1] .. " " .. (other[2] and digits(result.unit.show(other[2])) or "failed")
  end
  return table.concat(texts, " · ")
end

local function floor(result)
  if not result.has_floor then return "" end
  return result.floor and digits(result.unit.show(result.floor)) or "failed"
end

local titles = {"measure", "", "ours: min / median / max", "floor", "ratio", "goal", "met", "others"}

-- The results as a table, with columns as wide as their widest cell.
function report.text(results)
  local lines = {titles}
  for _, result in ipairs(results) do
    table.insert(lines, {
      result.measure .. " " .. result.name, result.unit.name, spread(result), floor(result),
      result.ratio and digits(result.ratio) or "", result.goal and result.goal.text or "", result.met, others(result),
    })
  end
  local widths = {}
  for _, cells in ipairs(lines) do
    for i, cell in ipairs(cells) do widths[i] = math.max(widths[i] or 0, utf8.len(cell)) end
  end
  for i, cells in ipairs(lines) do
    local padded = {}
    for k, cell in ipairs(cells) do padded[k] = cell .. (" "):rep(widths[k] - utf8.len(cell)) end
    lines[i] = table.concat(padded, "  "):gsub("%s+$", "")
  end
  return table.concat(lines, "\n") .. "\n"
end

-- A number with its unit.
local function with_unit(number, unit)
  local name = unit.name
  return digits(unit.show(number)) .. (name == "" and "" or name == "%" and " %" or " " .. name)
end

-- The results as a table of Markdown.
function report.markdown(results)
  local lines = {"| measure | here | floor | ratio | goal | met |", "|---|---|---|---|---|---|"}
  for _, result in ipairs(results) do
    local ours = result.ours
    if not ours then
      ours = "failed"
    elseif result.growth then
      ours = ("%s … %s ×"):format(digits(ours[1]), digits(ours[#ours]))
    else
      ours = with_unit(frame.median(ours), result.unit)
    end
    table.insert(lines, ("| %s %s | %s | %s | %s | %s | %s |"):format(
      result.measure, result.name:gsub("^%s+", "… "), ours, result.floor and with_unit(result.floor, result.unit) or "",
      result.ratio and digits(result.ratio) or "", result.goal and result.goal.text or "", result.met))
  end
  return table.concat(lines, "\n") .. "\n"
end

local BEGIN <const>, END <const> = "<!-- bench -->\n", "<!-- /bench -->\n"

-- `text` with what is between the two comments of the benchmarks replaced by the table of the results.
function report.refresh(text, results, about)
  local _, first = text:find(BEGIN, 1, true)
  local last = text:find(END, 1, true)
  assert(first and last and first < last, "there is no place for the table")
  return text:sub(1, first) .. about .. "\n\n" .. report.markdown(results) .. text:sub(last)
end

return report
