"""The report's one style sheet."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #5b6472; --line: #dde1e7; --page: #f6f7f9; --card: #fff;
  --accent: #2f6fdb; --tint: #e6eefc; --warm: #a85b12; --warm-tint: #fdf0e2 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ec; --soft: #9aa3b2; --line: #333a45; --page: #14171c; --card: #1c2027; --accent: #7fa9f5;
    --tint: #22304a; --warm: #e3a868; --warm-tint: #3a2c1c }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem }
h1 { font-size: 1.6rem; margin: 0 0 1rem }
h2 { font-size: 1.2rem; margin: 0 0 .6rem }
h3 { font-size: 1rem; margin: 1.4rem 0 .6rem }
h4 { font-size: 1.05rem; margin: 0 }
p { margin: 0 0 .8rem }
small, .rest, nav { color: var(--soft) }
small { font-weight: normal; font-size: .85rem }
a { color: var(--accent) }
bdi { overflow-wrap: anywhere }
section, main > details { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.25rem; margin: 1rem 0 }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem 2rem; color: var(--soft) }
.tiles b { color: var(--ink); font-size: 1.15rem; font-variant-numeric: tabular-nums }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .92rem }
.wide table, .bars { width: 100% }
th, td { padding: .28rem 1rem .28rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top }
thead th { color: var(--soft); font-weight: normal; white-space: nowrap }
tbody th { font-weight: normal }
tr:last-child > * { border-bottom: 0 }
.number { font-variant-numeric: tabular-nums; white-space: nowrap }
.digits { display: inline-block; min-width: 3.2rem }
.peer { color: var(--soft) }
.fusion > * { font-weight: 600 }
.bar { display: inline-block; width: 6rem; height: .55rem; margin-left: .5rem; background: var(--tint);
  border-radius: 3px }
.bar span { display: block; height: 100%; background: var(--accent); border-radius: 3px }
.bars td { text-align: right }
pre { overflow-x: auto; font-size: .82rem }
summary { cursor: pointer; color: var(--soft); font-size: .88rem }
nav ul { display: inline; padding: 0 }
nav li { display: inline; margin-left: .6rem }
ol.list { list-style: none; padding: 0; margin: 0 }
ol.list > li { padding: .9rem 0; border-top: 1px solid var(--line) }
.rank { display: inline-block; min-width: 1.6rem; color: var(--accent) }
.reasons { list-style: none; margin: .35rem 0 .4rem; padding: 0 0 0 1.75rem }
.reasons li { padding-left: 4rem; text-indent: -4rem }
.adds { display: inline-block; min-width: 4rem; text-indent: 0; color: var(--soft); font-variant-numeric: tabular-nums }
ol.list details, .paths { margin-left: 1.75rem }
.paths { display: block; width: calc(100% - 1.75rem); max-width: 44rem; height: auto }
.paths rect { fill: var(--card); stroke: var(--line) }
.paths .goal rect { fill: var(--tint); stroke: var(--accent) }
.paths .entity rect { fill: var(--warm-tint); stroke: var(--warm) }
.paths .people rect, .paths .words rect { fill: var(--page); stroke: var(--soft); stroke-dasharray: 4 3 }
.changes { margin: 0; padding-left: 1.2rem }
.changes li { margin: .25rem 0; overflow-wrap: anywhere }
.paths text { fill: var(--ink); font: 13px system-ui, sans-serif; text-anchor: middle; dominant-baseline: central }
.paths .relation { fill: var(--soft); font-size: 11px }
.paths path { fill: none; stroke: var(--soft); stroke-width: 1.3 }
"""
