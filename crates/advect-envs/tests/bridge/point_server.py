"""A server written from docs/guides/bridge.md alone, with the standard library only.

Tasks: Point-v0 moves a point on a line, Goal-v0 has goals. The others, and the arguments of the command line, misbehave.
"""

import json
import os
import random
import struct
import sys
import time

HELLO, MAKE, RESET, STEP, CLOSE = 1, 2, 3, 4, 5
MAGIC = b"ADVBRIDG"
LIMIT = 20


class Point:
    sizes = (2, 0, 0)

    def __init__(self, name, arguments):
        self.name = name
        self.gain = arguments.get("gain", 1.0)
        self.episodes = 0

    def observation(self):
        return [self.x, float(self.taken)]

    def reset(self, seed):
        self.episodes += 1
        self.taken = 0
        self.x = random.Random(seed).uniform(-1.0, 1.0)
        if self.name == "Drift-v0":
            self.x = int.from_bytes(os.urandom(4), "little") / 2**32
        if self.name == "SlowReset-v0":
            time.sleep(60)
        return self.observation()

    def step(self, action):
        self.taken += 1
        self.x += 0.1 * self.gain * action
        self.misbehave()
        flags = (abs(self.x) > 5.0) | (self.taken >= LIMIT) << 1
        return self.observation(), -self.x * self.x, flags

    def misbehave(self):
        if self.taken < 3:
            return
        if self.name == "Exit-v0" or (self.name == "ExitOnce-v0" and not os.path.exists(MARK)):
            open(MARK, "w").close() if MARK else None
            print("first line\nthe wheels came off", file=sys.stderr, flush=True)
            sys.exit(3)
        if self.name == "SlowStep-v0":
            time.sleep(60)
        if self.name == "Raise-v0":
            raise RuntimeError("out of fuel")


class Goal(Point):
    sizes = (2, 1, 1)

    def observation(self):
        return super().observation() + [self.x, 0.5]


MARK = os.environ.get("POINT_SERVER_MARK", "")
tasks = {}


def send(kind, payload, length=None):
    length = len(payload) if length is None else length
    sys.stdout.buffer.write(struct.pack("<IB3x", length, kind) + payload)
    sys.stdout.buffer.flush()


def fail(code, slot, text):
    send(255, struct.pack("<II", code, slot) + text.encode())


def read(count):
    data = sys.stdin.buffer.read(count)
    if len(data) < count:
        sys.exit(0)
    return data


def hello():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode == "garbage":
        sys.stdout.write("Welcome to the simulator! Loading assets, please wait.\n")
        sys.stdout.flush()
        time.sleep(60)
    if mode == "silent":
        time.sleep(60)
    if mode == "deaf":
        os.close(1)
        time.sleep(60)
    magic = b"OTHERPRO" if mode == "magic" else MAGIC
    send(128 + HELLO, magic + struct.pack("<II", 7 if mode == "version" else 1, 0))


def make(payload):
    slot, length = struct.unpack_from("<II", payload)
    name, arguments = payload[8 : 8 + length].decode(), payload[8 + length :].decode()
    if name == "Absent-v0":
        return fail(3, slot, "no task Absent-v0")
    if name == "Discrete-v0":
        return fail(2, slot, "action space Discrete(4)")
    if name == "Billions-v0":
        return send(128 + MAKE, struct.pack("<5Id2f", 2**31, 0, 0, 1, 0, 0.0, -1.0, 1.0))
    tasks[slot] = (Goal if name == "Goal-v0" else Point)(name, json.loads(arguments or "{}"))
    low = -1.0 - slot if name == "Uneven-v0" else -1.0
    spec = struct.pack("<5Id2f", *tasks[slot].sizes, 1, LIMIT, float("nan"), low, 1.0)
    send(128 + MAKE, spec)


def reset(payload):
    slot, seed = struct.unpack("<II", payload)
    observation = tasks[slot].reset(seed)
    if tasks[slot].name == "ShortReset-v0":
        observation = observation[:1]
    send(128 + RESET, struct.pack(f"<{len(observation)}d", *observation))


def steps(payload):
    (count,) = struct.unpack_from("<I", payload)
    slots = struct.unpack_from(f"<{count}I", payload, 8)
    actions = struct.unpack_from(f"<{count}f", payload, 8 + 4 * count)
    observations, rewards, flags = b"", [], []
    for slot, action in zip(slots, actions):
        try:
            observation, reward, flag = tasks[slot].step(action)
        except RuntimeError as error:
            return fail(1, slot, f"Traceback of the task\nRuntimeError: {error}")
        observations += struct.pack(f"<{len(observation)}d", *observation)
        rewards.append(reward)
        flags.append(flag)
    name = tasks[slots[0]].name
    if name == "BadFlags-v0":
        flags[0] = 9
    answer = struct.pack(f"<{count}d", *rewards) + observations + bytes(flags)
    if name == "Huge-v0":
        return send(128 + STEP, answer, 0xFFFFFFF0)
    if name == "WrongKind-v0":
        return send(128 + RESET, answer)
    if name == "Chatty-v0":
        answer, length = answer + b"done", len(answer)
        return send(128 + STEP, answer, length)
    if name == "Half-v0":
        send(128 + STEP, answer[:5], len(answer))
        sys.exit(0)
    if name == "BadError-v0":
        return send(255, b"xx")
    send(128 + STEP, answer)


def close(payload):
    (slot,) = struct.unpack("<I", payload)
    del tasks[slot]
    send(128 + CLOSE, b"")


while True:
    length, kind = struct.unpack("<IB3x", read(8))
    payload = read(length)
    if kind == HELLO:
        hello()
    else:
        {MAKE: make, RESET: reset, STEP: steps, CLOSE: close}[kind](payload)
