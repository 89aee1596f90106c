"""The look of a report: one style sheet, light and dark, from a telephone to a wide screen."""

STYLE = """
:root{color-scheme:light dark;
--font:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;
--page:#f4f6f9;--surface:#fff;--ink:#121826;--muted:#5a6577;--line:#e1e6ed;--band:#eef1f6;
--blue:#2563eb;--orange:#d9680b;--green:#0c8f63;--red:#d5303a;--violet:#7c4ddb;
--shadow:0 1px 2px #0f172a0d,0 4px 16px #0f172a0a}
@media (prefers-color-scheme:dark){:root{--page:#0d1117;--surface:#161c26;--ink:#e8edf4;--muted:#9aa7b8;--line:#2a3341;
--band:#1f2733;--blue:#6ea0ff;--orange:#f79a4b;--green:#3ed3a0;--red:#ff7078;--violet:#b294ff;--shadow:none}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 var(--font);-webkit-text-size-adjust:100%}
main{max-width:1160px;margin:0 auto;padding:40px 24px 72px}
h1{font-size:30px;line-height:1.2;margin:0;letter-spacing:-.015em;font-weight:680}
h2{font-size:20px;margin:52px 0 4px;letter-spacing:-.01em;font-weight:650}
h3{font-size:15px;margin:0;font-weight:620}
p{margin:0}.lead{color:var(--muted);max-width:74ch}h2+.lead{margin-bottom:18px}.lead.small{font-size:13px}
header .lead{margin-top:8px;font-size:16px}
.title{display:flex;flex-wrap:wrap;gap:8px 14px;align-items:center}
.badge{font-size:13px;font-weight:600;padding:3px 11px;border-radius:99px;border:1px solid currentColor;
white-space:nowrap}
.good{color:var(--green)}.bad{color:var(--red)}.neutral{color:var(--muted)}
.card{background:var(--surface);border:1px solid var(--line);border-radius:12px;box-shadow:var(--shadow)}
.hero{display:grid;grid-template-columns:minmax(0,440px) minmax(0,1fr);gap:20px;margin-top:26px;align-items:stretch}
.hero.plain{grid-template-columns:1fr}
.film{overflow:hidden;display:flex;flex-direction:column;margin:0}
.film img{display:block;width:100%;height:auto;background:#262f3c}
.film figcaption{padding:11px 16px 13px;font-size:13px;line-height:1.45;color:var(--muted)}
.dot{display:inline-block;width:9px;height:9px;border-radius:50%;margin:0 3px 0 1px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(142px,1fr));gap:12px}
.tile{padding:13px 16px;min-width:0;display:flex;flex-direction:column;justify-content:center}
.tile.first{grid-column:1/-1;padding:18px 20px}
.tile b{font-size:23px;line-height:1.25;font-weight:640;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
.tile.first b{font-size:44px;letter-spacing:-.025em;line-height:1.1}
.tile span{font-size:13px;color:var(--muted)}.tile b small{font-size:.62em;font-weight:550;color:var(--muted);
margin-left:3px}
.tile.id b{font-family:var(--mono);font-size:17px;font-weight:560;letter-spacing:0}
.for-narrow{display:none}
.meter{position:relative;height:8px;border-radius:99px;background:var(--band);margin:12px 0 8px}
.meter i{position:absolute;top:0;bottom:0;border-radius:99px;background:var(--green)}
.meter u{position:absolute;top:-4px;bottom:-4px;width:2px;margin-left:-1px;background:var(--ink)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:16px}
.charts.two{grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}
.chart{margin:0;padding:15px 17px 11px;min-width:0;display:flex;flex-direction:column}
.chart.wide{grid-column:1/-1}
.chart figcaption{margin-bottom:8px}.chart p{font-size:13px;line-height:1.45;color:var(--muted)}
.unit{color:var(--muted);font-weight:400;font-size:13px;margin-left:6px}
.chart svg,.joints svg{display:block;width:100%;height:auto;margin-top:auto}
.episode{padding:18px 20px 14px;margin-top:16px}
.episode>p{color:var(--muted);font-size:14px;margin:2px 0 14px}
.episode .chart{padding:0}
.joints{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,290px),1fr));gap:14px 24px;margin-top:16px}
.joints figure{margin:0;min-width:0}.joints figcaption{font-size:13px;margin-bottom:3px}
.joints code{font-size:12.5px;overflow-wrap:anywhere}
.key{display:inline-block;width:20px;border-top:2px solid;vertical-align:middle;margin:0 5px 0 12px}
.key.dash{border-top-style:dashed}
.notice{padding:13px 18px;margin-top:22px;border-left:4px solid var(--orange)}
.notice ul{margin:4px 0 0;padding-left:19px;color:var(--muted);overflow-wrap:anywhere}
code,pre{font-family:var(--mono);font-size:13px}
pre{margin:10px 0 0;padding:14px 16px;background:var(--band);border-radius:8px;overflow-x:auto;line-height:1.5;
color:var(--ink)}
details{margin-top:12px;padding:12px 18px}summary{cursor:pointer;font-weight:600}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:5px 22px;margin:14px 0 2px;font-size:14px}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
footer{margin-top:44px;color:var(--muted);font-size:13px}
@media (max-width:860px){.hero{grid-template-columns:1fr}main{padding:24px 16px 48px}h1{font-size:25px}
.film{max-width:520px}.tile.first b{font-size:38px}}
@media (max-width:640px){.for-wide{display:none}.for-narrow{display:block}}
@media (max-width:480px){dl{grid-template-columns:1fr}dt{margin-top:6px}.tiles{grid-template-columns:1fr 1fr}}
@media print{body{background:#fff}.card{box-shadow:none;break-inside:avoid}}
"""
