def test_it(bundle_path):
    import subprocess,sys,time
    from ppo_robot.policy.bundle import load_bundle
    t=time.perf_counter(); b=load_bundle(bundle_path); print(time.perf_counter()-t, b.golden_deviation)
    print((bundle_path/"MODEL_CARD.md").read_text()); print((bundle_path/"spec.json").read_text()[:1500]); print((bundle_path/"envelope.yaml").read_text())
    for f in bundle_path.iterdir(): print(f.name,f.stat().st_size)
    from ppo_robot.cli.main import main
    assert main(["inspect",str(bundle_path),"--robot","arm6","--json",str(bundle_path.parent/"o.json")])==0
