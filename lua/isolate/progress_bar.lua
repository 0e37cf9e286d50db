--- A line on the terminal that tells how far something is: silent where there is
-- no terminal.

local io, math, os, string, utf8 = io, math, os, string, utf8
local core = require "isolate.core"
local errors = require "isolate.errors"
local options = require "isolate.options"

local now = core.now

local DRAW_EVERY = 0.1          -- seconds

---@class isolate.ProgressBar
local ProgressBar = { __name = "isolate.ProgressBar", __transfer = false }
ProgressBar.__index = ProgressBar

local function duration(seconds)
  if seconds >= 1e7 then return "for ever" end
  seconds = math.ceil(seconds)
  if seconds >= 3600 then
    return string.format("%d:%02d:%02d", seconds // 3600, seconds // 60 % 60, seconds % 60)
  end
  return string.format("%d:%02d", seconds // 60, seconds % 60)
end

local function amount(n)
  for _, unit in ipairs { { 1e9, "G" }, { 1e6, "M" }, { 1e4, "k", 1e3 } } do
    if n >= unit[1] then return string.format("%.1f%s", n / (unit[3] or unit[1]), unit[2]) end
  end
  return n == math.floor(n) and string.format("%d", n) or string.format("%.1f", n)
end

local function columns(text) return utf8.len(text) or #text end

-- The first `width` characters.
local function cut(text, width)
  if columns(text) <= width then return text end
  local at = utf8.len(text) and utf8.offset(text, width + 1) or width + 1
  return string.sub(text, 1, at - 1)
end

local function describe(self, time)
  local seconds = time - self.start
  local rate = seconds > 0 and self.done / seconds or 0
  local parts = {}
  if self.total then
    local share = self.total > 0 and math.max(0, math.min(1, self.done / self.total)) or 1
    local filled = math.floor(share * 20 + 0.5)
    parts[1] = string.format("%3d%% [%s%s] %s/%s", math.floor(share * 100),
      string.rep("#", filled), string.rep("-", 20 - filled), amount(self.done), amount(self.total))
  else
    parts[1] = amount(self.done)
  end
  parts[#parts + 1] = amount(rate) .. "/s"
  if self.total and rate > 0 and self.done < self.total then
    parts[#parts + 1] = duration((self.total - self.done) / rate) .. " left"
  else
    parts[#parts + 1] = duration(seconds)
  end
  parts[#parts + 1] = self.text
  return table.concat(parts, "  ")
end

local function draw(self, time)
  self.drawn = time
  local line = (self.label and self.label .. " " or "") .. describe(self, time)
  line = cut(string.gsub(line, "%c", " "), self.width - 1)
  local used = columns(line)
  local erase = self.plain and string.rep(" ", self.used - used) or "\27[K"
  self.used = used
  self.out:write("\r", line, erase)
  self.out:flush()
end

--- Shows that `done` of the total are done.
---@param done number
---@param text string?  what is being done
function ProgressBar:update(done, text)
  if getmetatable(self) ~= ProgressBar then errors.bad_self("ProgressBar", self, "update", 2) end
  if type(done) ~= "number" then errors.expected("number", done, 1, "update", 2) end
  errors.check_string(text, 2, "update", true)
  self.done, self.text = done, text or self.text
  if not self.width or self.finished then return end
  local time = now()
  if time - self.drawn >= DRAW_EVERY or done == self.total then draw(self, time) end
end

--- Shows the last state and ends the line. Finishing twice is fine.
function ProgressBar:finish()
  if getmetatable(self) ~= ProgressBar then errors.bad_self("ProgressBar", self, "finish", 2) end
  if self.finished then return end
  self.finished = true
  if not self.width then return end
  draw(self, now())
  self.out:write "\n"
  self.out:flush()
end

ProgressBar.__close = ProgressBar.finish

local checks = {
  out = function(v) return io.type(v) == "file" or "open file" end,
  width = options.count,
  label = options.text,
}

--- A bar for `total` things (nil: nobody knows how many). It is drawn on stderr if
-- that is a terminal, on `opts.out` with `opts.width` columns if these are given.
---@param total number?
---@param opts {out: file*?, width: integer?, label: string?}?
---@return isolate.ProgressBar
return function(total, opts)
  if total ~= nil and type(total) ~= "number" then
    errors.expected("number", total, 1, "ProgressBar", 2)
  end
  opts = options.check(opts, 2, "ProgressBar", checks, 2)
  local start = now()
  return setmetatable({
    total = total, done = 0, start = start, drawn = -math.huge, used = 0,
    out = opts.out or io.stderr, label = opts.label,
    width = opts.width or not opts.out and core.terminal_width() or nil,
    plain = (os.getenv "NO_COLOR" or "") ~= "" or os.getenv "TERM" == "dumb",
  }, ProgressBar)
end
