-- mandelbrot.lua: a picture of the Mandelbrot set, computed row by row on one core, then by a pool, and written as PNG.
-- The rows are tiny jobs of very different length; `map` finds the size of its chunks itself.
-- Run it:  lua5.4 examples/mandelbrot.lua [file.png] [width]
local Isolate = require "isolate"
local now     = require "system".monotime
local zlib    = require "zlib"

local WIDTH  = math.tointeger(tonumber(arg[2])) or 600
local HEIGHT = WIDTH * 2 // 3
local DEPTH  = 200

local row, write_png                                   -- below

local function main()
  local path = arg[1] or os.tmpname()
  local numbers = {}
  for y = 1, HEIGHT do numbers[y] = y end

  local start, alone = now(), {}
  for y = 1, HEIGHT do alone[y] = row(y) end
  local one = now() - start

  local pool <close> = Isolate.Pool()
  pool:run(row, 1):await()                             -- the workers are there
  start = now()
  local rows = pool:map(row, numbers, { progress = true })
  local all = now() - start

  assert(table.concat(rows) == table.concat(alone))
  local bytes = write_png(path, rows)
  print(("%d x %d, %d bytes of PNG"):format(WIDTH, HEIGHT, bytes))
  print(("one core %.2f s, pool of %d %.2f s: %.2f times as fast"):format(one, Isolate.processors(), all, one / all))
  if not arg[1] then os.remove(path) end
end

-- The bytes of row `y`, a grey value each. Runs in a worker: the sizes go along.
function row(y)
  local bytes = {}
  local ci = (y - HEIGHT / 2) * 2 / HEIGHT
  for x = 1, WIDTH do
    local cr = (x - WIDTH * 0.7) * 3 / WIDTH
    local zr, zi, n = 0, 0, 0
    while n < DEPTH and zr * zr + zi * zi < 4 do
      zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1
    end
    bytes[x] = string.char(n == DEPTH and 0 or 255 - n * 255 // DEPTH)
  end
  return table.concat(bytes)
end

-- Writes rows of grey values; returns the size of the file.
function write_png(path, rows)
  local function chunk(kind, data)
    return string.pack(">I4", #data) .. kind .. data .. string.pack(">I4", zlib.crc32()(kind .. data))
  end
  local data = zlib.deflate()("\0" .. table.concat(rows, "\0"), "finish")
  local png = "\137PNG\r\n\26\n" .. chunk("IHDR", string.pack(">I4I4BBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0))
    .. chunk("IDAT", data) .. chunk("IEND", "")
  local file <close> = assert(io.open(path, "wb"))
  file:write(png)
  return #png
end

main()

--[[ Output:
<n> x <n>, <n> bytes of PNG
one core <n> s, pool of <n> <n> s: <n> times as fast
]]
