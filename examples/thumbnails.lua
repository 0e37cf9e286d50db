-- thumbnails.lua: pictures of a folder are made smaller, one job a picture, with a progress line on a terminal.
-- Pictures are PPM files, drawn on first use; a broken one among them fails alone, and is named.
-- Run it:  lua5.4 examples/thumbnails.lua [number of pictures]
local Isolate = require "isolate"
local now     = require "system".monotime

local WIDTH, HEIGHT, SCALE = 480, 320, 4

local draw, thumbnail                                  -- below

local function main()
  local folder = assert(io.popen "mktemp -d"):read "l"
  local paths = {}
  for i = 1, tonumber(arg[1]) or 16 do
    paths[i] = ("%s/%03d.ppm"):format(folder, i)
    draw(paths[i], i)
  end

  local start = now()
  for _, path in ipairs(paths) do thumbnail(path) end
  local one = now() - start

  paths[#paths + 1] = folder .. "/broken.ppm"
  assert(io.open(paths[#paths], "w")):close()
  local pool <close> = Isolate.Pool()
  start = now()
  local sizes, failures = pool:map(thumbnail, paths, { errors = "collect", progress = true })
  local all = now() - start

  print(("%d thumbnails of %d bytes each"):format(#paths - #failures, sizes[1]))
  for _, it in ipairs(failures) do
    print(("failed: %s: %s"):format(it.item:match "[^/]+$", it.error.message:match "[^:]+$"))
  end
  print(("one core %.2f s, pool of %d %.2f s: %.2f times as fast"):format(one, Isolate.processors(), all, one / all))
  os.execute("rm -r " .. folder)
end

-- Runs in a worker: writes the picture, SCALE times smaller, beside it; returns the number of bytes.
function thumbnail(path)
  local file <close> = assert(io.open(path, "rb"))
  local width, height, pixels = string.match(file:read "a", "^P6 (%d+) (%d+) 255\n(.*)")
  if not pixels then error("no PPM picture") end
  width, height = math.tointeger(width), math.tointeger(height)
  local small = {}
  for y = 0, height // SCALE - 1 do
    for x = 0, width // SCALE - 1 do
      local r, g, b = 0, 0, 0
      for dy = 0, SCALE - 1 do
        local at = ((y * SCALE + dy) * width + x * SCALE) * 3 + 1
        for i = at, at + 3 * SCALE - 1, 3 do
          local r1, g1, b1 = pixels:byte(i, i + 2)
          r, g, b = r + r1, g + g1, b + b1
        end
      end
      local n = SCALE * SCALE
      small[#small + 1] = string.char(r // n, g // n, b // n)
    end
  end
  local out <close> = assert(io.open(path:gsub("ppm$", "small.ppm"), "wb"))
  out:write(("P6 %d %d 255\n"):format(width // SCALE, height // SCALE), table.concat(small))
  return out:seek()
end

-- Some picture, another one for each number.
function draw(path, number)
  local rows = {}
  for y = 0, HEIGHT - 1 do
    local row = {}
    for x = 0, WIDTH - 1 do
      row[x + 1] = string.char((x * number) & 255, (y * number) & 255, (x ~ y) & 255)
    end
    rows[y + 1] = table.concat(row)
  end
  local file <close> = assert(io.open(path, "wb"))
  file:write(("P6 %d %d 255\n"):format(WIDTH, HEIGHT), table.concat(rows))
end

main()

--[[ Output:
16 thumbnails of <n> bytes each
failed: broken.ppm:  no PPM picture
one core <n> s, pool of <n> <n> s: <n> times as fast
]]
