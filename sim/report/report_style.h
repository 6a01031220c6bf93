#pragma once

// The report's style sheet: light and dark as the reader's system has it, narrow and wide, and on paper.

#include <string_view>

namespace bunshin {

inline constexpr std::string_view report_style = R"css(
:root{--bg:#fff;--fg:#1c2430;--muted:#5f6b7a;--line:#e3e7ec;--card:#f6f8fa;--accent:#2f6fb5;--bar:#cfe0f3;--good:#1a7f37;--bad:#b3261e;--limit:#9a6700;--idle:#d7dce2}
@media(prefers-color-scheme:dark){:root{--bg:#14181f;--fg:#dde3ea;--muted:#95a1b0;--line:#2b333e;--card:#1c222b;--accent:#7db4ee;--bar:#2a4a6d;--good:#57c878;--bad:#ff8a80;--limit:#e3b341;--idle:#3a4450}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:3.2rem}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:76rem;margin:0 auto;padding:0 1.25rem 4rem}
nav{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--line);overflow-x:auto;white-space:nowrap}
nav div{max-width:76rem;margin:0 auto;padding:.55rem 1.25rem}
nav a{color:var(--muted);text-decoration:none;margin-right:1.1rem;font-size:.9rem}
nav a:hover{color:var(--accent)}
h1{font-size:1.7rem;margin:1.6rem 0 .2rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{max-width:62rem}
.note{color:var(--muted);font-size:.87rem}
.verdict{font-size:1.06rem;line-height:1.6}
.end{margin:.1rem 0 1rem;font-weight:600}.end span{color:var(--muted);font-weight:400}
.good{color:var(--good)}.bad{color:var(--bad)}.limit{color:var(--limit)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:1rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem;display:flex;flex-direction:column}
.card span,.card small{color:var(--muted);font-size:.8rem}.card strong{font-size:1.45rem;font-weight:600;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto;margin:.4rem 0}
table{border-collapse:collapse;font-size:.88rem}
th{font-weight:600;text-align:left;color:var(--muted);vertical-align:bottom;border-bottom:1px solid var(--line);padding:.25rem .7rem .25rem 0}
td{padding:.2rem .7rem .2rem 0;border-bottom:1px solid var(--line);vertical-align:middle}
.scroll td:first-child{min-width:6rem}
td small{color:var(--muted)}
.asm,td:has(.dot){white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr.total td{font-weight:600}
tbody tr:hover td{background:var(--card)}
code,pre,.asm{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;font-size:.83rem}
pre{background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.8rem;overflow:auto;max-height:34rem}
summary{cursor:pointer;color:var(--accent);margin:.5rem 0}
.columns{display:flex;flex-wrap:wrap;gap:.4rem 3rem;align-items:flex-start}.columns>*{max-width:100%}
.bar{position:relative;display:inline-block;min-width:5.5rem;width:100%;text-align:right}
.bar.wide{min-width:11rem}
.bar i{position:absolute;left:0;top:.12em;bottom:.12em;background:var(--bar);border-radius:2px}
.bar.other i{background:var(--idle)}
.bar b{position:relative;font-weight:inherit;padding-left:.3rem}
.stack{display:grid;grid-template-columns:6.5rem 1fr 5rem;gap:.7rem;align-items:center;margin:.3rem 0;font-size:.88rem}
.stack>div{display:flex;height:1.6rem;border-radius:.25rem;overflow:hidden;background:var(--card)}
.stack i{font-style:normal;font-size:.75rem;color:#fff;text-align:center;line-height:1.6rem;overflow:hidden;min-width:0}
.stack small{color:var(--muted);white-space:nowrap}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;font-size:.84rem;margin:.6rem 0 1rem}
.legend i,.dot{display:inline-block;width:.75rem;height:.75rem;border-radius:2px;margin-right:.4rem;vertical-align:-1px}
.track{display:grid;grid-template-columns:9.5rem 1fr;gap:.8rem;align-items:center;margin:.45rem 0;font-size:.84rem}
.track>span small{display:block;color:var(--muted)}
.track svg{width:100%;height:3.4rem;display:block;border-bottom:1px solid var(--line)}
.track.tall svg{height:11rem}
svg .line{fill:none;stroke:var(--accent);stroke-width:1.4;vector-effect:non-scaling-stroke}
svg .under{fill:var(--bar);opacity:.45}
.axis{display:flex;justify-content:space-between;color:var(--muted);font-size:.78rem}
.listings{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(34rem,100%),1fr));gap:1rem 2rem}
.listing{margin:0;min-width:0}.listing figcaption{font-size:.85rem;color:var(--muted);margin-bottom:.2rem;overflow-wrap:anywhere}
.listing td{border:0;padding:.05rem .6rem .05rem 0;font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;font-size:.78rem;white-space:nowrap}
.heat{width:4rem;min-width:4rem}.heat i{display:block;height:.7rem;background:#d1495b;border-radius:1px}
footer{color:var(--muted);font-size:.82rem;margin-top:3rem}
.c-base{background:#4c78a8;fill:#4c78a8}.c-branch{background:#e8871e;fill:#e8871e}.c-frontend{background:#b8860b;fill:#b8860b}
.c-fetch_walk{background:#b05fc4;fill:#b05fc4}.c-l1{background:#8cc084;fill:#8cc084}.c-l2{background:#5aa469;fill:#5aa469}
.c-l3{background:#3a8f7b;fill:#3a8f7b}.c-remote{background:#2a7f92;fill:#2a7f92}.c-dram{background:#14746f;fill:#14746f}
.c-uncached{background:#77867a;fill:#77867a}.c-tlb{background:#c98bd9;fill:#c98bd9}.c-walk_dim1{background:#8e44ad;fill:#8e44ad}
.c-walk_dim2{background:#5e2a84;fill:#5e2a84}.c-serialize{background:#d1495b;fill:#d1495b}.c-event{background:#9c2f40;fill:#9c2f40}
.c-vm_entry{background:#2a9d8f;fill:#2a9d8f}.c-vm_exit{background:#1d6f66;fill:#1d6f66}.c-vm_control{background:#7fc8bf;fill:#7fc8bf}
.c-hosted{background:#b5838d;fill:#b5838d}
.c-device{background:#8a94a3;fill:#8a94a3}.c-halted{background:var(--idle);fill:var(--idle)}.stack .c-halted{color:var(--fg)}
@media(max-width:40rem){.stack{grid-template-columns:1fr auto}.stack>div{grid-column:1/-1;grid-row:2}.track{grid-template-columns:1fr;gap:.1rem}.track>span small{display:inline;margin-left:.5rem}h1{font-size:1.35rem}main,nav div{padding-left:.8rem;padding-right:.8rem}.cards{grid-template-columns:repeat(auto-fit,minmax(8rem,1fr))}}
@media print{nav{display:none}details{display:none}h2{break-after:avoid}}
)css";

}  // namespace bunshin
