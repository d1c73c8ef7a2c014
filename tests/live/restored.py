#!/usr/bin/env python3
"""Snapshots and restores where something is not as it should be: templates and models that are not
at hand, programs that are bad on the disk, places that are mounted, full, shared or interrupted. A
good state is never lost to what is only beside it, and no kill leaves half of one."""
import json
import os
import re
import shutil
import signal
import tempfile
import time

import engine

run = engine.command
OWN = """programId: own
eventSources:
  - config: {eventPattern: {source: [ecommerce.cart], detail-type: [CartAbandoned]}}
filterChain:
  - {type: trust, parameters: {requirePaymentMethod: false}}
scoringModels:
  - {endpoint: "model://mine"}
channels:
  - type: email
    config: {delayMinutes: 600, templateId: mine, subject: "Your cart"}
"""
KEYLESS = 'http: {listen: ["127.0.0.1:0"]}\n'


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


def get(path):
    with open(path, "rb") as file:
        return file.read()


def snapshot(live, name):
    status, _, body = live.request("POST", f"/v1/snapshot?name={name}")
    while status == 202:
        time.sleep(0.05)
        status, _, body = live.request("GET", "/v1/snapshot")
    return status, json.loads(body)


def put_carts(live, names):
    now = int(time.time() * 1000)
    lines = [event for name in names for event in (
        engine.profile(name, now), engine.abandoned(name, "cart-" + name, now))]
    status, answer = live.post_events(lines)
    return status == 200 and answer["rejected"] == []


def own_assets(folder):
    """Templates and models that are the user's own; the engine file that names them."""
    tools = os.path.join(engine.harness.ROOT, "tools")
    model = json.loads(get(os.path.join(tools, "models", "purchase-intent-v4.json")))
    model["name"] = "mine"
    put(os.path.join(folder, "models", "mine.json"), json.dumps(model))
    put(os.path.join(folder, "templates", "mine.html"), "<p>{{customerName}} {{cartLink}}</p>")
    put(os.path.join(folder, "templates", "mine.txt"), "{{customerName}} {{cartLink}}")
    put(os.path.join(folder, "own.yaml"), OWN)
    text = KEYLESS + "models: models\ntemplates: templates\nprograms: [own.yaml]\n"
    return put(os.path.join(folder, "own-engine.yaml"), text), text


def own_templates(results, folder):
    """A snapshot is good without the templates and models that its programs need."""
    config, text = own_assets(folder)
    with engine.Engine(config=text, http=None, prepare=own_assets) as live:
        results.check(put_carts(live, [f"own-{i}" for i in range(20)]), "carts are taken")
        status, told = snapshot(live, "own")
        results.equal(status, 200, "a snapshot")
        file = shutil.copy(told["file"], os.path.join(folder, "own.cwsnap"))
        results.equal(live.stop(), 0, "it stops in order")
    code, output, said = run("verify", file)
    results.check(code == 0 and "good: 2 cores" in output,
                  "it verifies without them", output + said)
    results.check("programs/1-own.yaml" in said and '"mine"' in said and "warning" in said and
                  "start" in said, "and says what a start needs", said)
    _, with_them, _ = run("verify", file, "-c", config)
    results.equal(output, with_them, "it finds what it finds with them")
    code, output, said = run("inspect", "--dump", file)
    results.check(code == 0 and "candidate " in output, "inspect tells the rows", output + said)
    results.equal(output, run("inspect", "--dump", file, "-c", config)[1], "the same as with them")
    state = os.path.join(folder, "own-state")
    code, output, said = run("restore", file, "--state", state)
    results.check(code == 0 and "HELD" in output and "warning" in said, "it is restored",
                  output + said)
    results.check(state + ".new" not in said, "no name is told that is gone", said)
    code, output, said = run("verify", "--state", state)
    results.check(code == 0 and "warning" in said, "and verifies", output + said)
    again = os.path.join(folder, "own-again.cwsnap")
    code, output, said = run("snapshot", "--state", state, "--out", again)
    results.check(code == 0 and run("verify", again)[0] == 0, "and is archived", output + said)
    with engine.Engine("-c", config, state=state, http=None) as live:
        results.equal(live.stop(), 0, "a start with them goes on with it")


def bad_on_disk(results, folder):
    """What ran is in the snapshot, whatever is on the disk by then."""
    program = os.path.join(folder, "ran.yaml")
    engine.write_kept(program, 600)
    ran = get(program)
    for word, content in (("broken", "programId: kept\nchannels: ["), ("gone", None)):
        with engine.Engine(programs=[program]) as live:
            results.check(put_carts(live, ["disk-1", "disk-2"]), "carts are taken")
            if content is None:
                os.unlink(program)
            else:
                put(program, content)
            status, _, _ = live.request("POST", "/v1/programs/reload")
            results.equal(status, 422, f"{word}: nothing is reloaded")
            status, told = snapshot(live, word)
            results.equal(status, 200, f"{word}: a snapshot is made")
            file = shutil.copy(told["file"], os.path.join(folder, word + ".cwsnap"))
            results.equal(live.stop(), 0, "it stops in order")
        put(program, ran)
        results.equal(run("verify", file)[0], 0, f"{word}: it verifies")
        state = os.path.join(folder, word)
        code, output, said = run("restore", file, "--state", state)
        results.check(code == 0 and said == "", f"{word}: it is restored", output + said)
        results.equal(get(os.path.join(state, "programs", "1-ran.yaml")), ran,
                      f"{word}: with the programs that ran")
    state = os.path.join(folder, "broken")
    put(os.path.join(state, "programs", "1-ran.yaml"), "programId: kept\nchannels: [")
    code, output, said = run("verify", "--state", state)
    results.check(code == 0 and "programs/1-ran.yaml" in said and "warning" in said,
                  "a bad program that came along is left out", output + said)
    code, output, said = run("verify", "--state", state, put(program, "programId: ["))
    results.check(code == 2 and "ran.yaml" in said, "a bad program that is named is refused", said)
    put(program, ran)


def main():
    results = engine.Results()
    folder = tempfile.mkdtemp(prefix="cartwheel-restored-")
    try:
        own_templates(results, folder)
        bad_on_disk(results, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.finish()


main()
