"""Serves Gymnasium environments over standard input and output; the protocol is in docs/guides/bridge.md."""

import json
import os
import signal
import struct
import sys
import traceback

MAGIC, VERSION = b"ADVBRIDG", 1
HELLO, MAKE, RESET, STEP, CLOSE = range(1, 6)
ANSWER, ERROR = 0x80, 0xFF
EXCEPTION, SPACE, REFUSED, PROTOCOL = range(1, 5)
NO_SLOT = 0xFFFFFFFF
LONGEST_TEXT = 32 * 1024
LONGEST_REQUEST = 1 << 28
GOAL_KEYS = ("observation", "achieved_goal", "desired_goal")


class Refusal(Exception):
    """An error answer with a code other than EXCEPTION."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def bad_request(text):
    return Refusal(PROTOCOL, text)


class Task:
    """One environment, and how its spaces become flat numbers."""

    def __init__(self, env_id, arguments):
        self.env = make(env_id, arguments)
        self.parts = observation_parts(self.env.observation_space)
        self.action = action_box(self.env.action_space)
        self.sizes = [int(np.prod(box.shape)) for _, box in self.parts]
        self.act_dim = int(np.prod(self.action.shape))
        self.obs_dim = sum(self.sizes)

    def spec(self):
        spec = self.env.spec
        limit = getattr(spec, "max_episode_steps", None) or 0
        threshold = getattr(spec, "reward_threshold", None)
        threshold = float("nan") if threshold is None else float(threshold)
        sizes = self.sizes if len(self.sizes) == 3 else [self.obs_dim, 0, 0]
        bounds = [np.asarray(bound, "<f4").tobytes() for bound in (self.action.low, self.action.high)]
        return struct.pack("<5Id", *sizes, self.act_dim, limit, threshold) + b"".join(bounds)

    def reset(self, seed):
        observation, _ = self.env.reset(seed=seed)
        return self.flat(observation)

    def step(self, action):
        action = action.reshape(self.action.shape).astype(self.action.dtype)
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return self.flat(observation), float(reward), bool(terminated) | bool(truncated) << 1

    def flat(self, observation):
        parts = [observation if key is None else observation[key] for key, _ in self.parts]
        parts = [np.asarray(part, "<f8").ravel() for part in parts]
        found = [part.size for part in parts]
        if found != self.sizes:
            raise ValueError(f"the observation has {found} numbers, but its space has {self.sizes}")
        return b"".join(part.tobytes() for part in parts)


def make(env_id, arguments):
    global np
    try:
        import gymnasium
        import numpy as np
    except ImportError as error:
        raise Refusal(REFUSED, f"{sys.executable} cannot import gymnasium ({error})") from error
    try:
        return gymnasium.make(env_id, **{"disable_env_checker": True, **arguments})
    except Exception as error:
        raise Refusal(REFUSED, last_lines(traceback.format_exc())) from error


def is_box(space):
    from gymnasium.spaces import Box

    return isinstance(space, Box)


def observation_parts(space):
    from gymnasium.spaces import Dict

    if is_box(space):
        return [(None, space)]
    if isinstance(space, Dict) and set(space.spaces) == set(GOAL_KEYS):
        parts = [(key, space.spaces[key]) for key in GOAL_KEYS]
        if all(is_box(part) for _, part in parts):
            return parts
    raise Refusal(SPACE, f"observation space {space}")


def action_box(space):
    if is_box(space) and np.issubdtype(space.dtype, np.floating):
        return space
    raise Refusal(SPACE, f"action space {space}")


def last_lines(text):
    return "\n".join(text.strip().splitlines()[-30:])


class Server:
    """Answers requests; `slots` are the environments by number, `at` the one at work."""

    def __init__(self):
        self.slots = {}
        self.at = NO_SLOT
        self.handlers = {HELLO: self.hello, MAKE: self.make, RESET: self.reset, STEP: self.step, CLOSE: self.close}

    def answer(self, kind, payload):
        self.at = NO_SLOT
        if kind not in self.handlers:
            raise bad_request(f"unknown kind {kind}")
        return self.handlers[kind](payload)

    def task(self, slot):
        self.at = slot
        if slot not in self.slots:
            raise bad_request(f"no environment in slot {slot}")
        return self.slots[slot]

    def hello(self, payload):
        if payload[:8] != MAGIC or len(payload) != 16:
            raise bad_request("this is no greeting")
        return MAGIC + struct.pack("<2I", VERSION, 0)

    def make(self, payload):
        slot, length = struct.unpack_from("<2I", payload)
        self.at = slot
        env_id, arguments = payload[8 : 8 + length].decode(), payload[8 + length :].decode()
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError as error:
            raise Refusal(REFUSED, f"the keyword arguments are no JSON object: {error}") from error
        if not isinstance(arguments, dict):
            raise Refusal(REFUSED, "the keyword arguments are no JSON object")
        task = self.slots[slot] = Task(env_id, arguments)
        return task.spec()

    def reset(self, payload):
        slot, seed = struct.unpack("<2I", payload)
        return self.task(slot).reset(seed)

    def step(self, payload):
        count, _ = struct.unpack_from("<2I", payload)
        slots = np.frombuffer(payload, "<u4", count, 8).tolist()
        actions = np.frombuffer(payload, "<f4", -1, 8 + 4 * count).reshape(count, -1)
        steps = [self.task(slot).step(action) for slot, action in zip(slots, actions)]
        rewards = struct.pack(f"<{count}d", *(reward for _, reward, _ in steps))
        return rewards + b"".join(obs for obs, _, _ in steps) + bytes(flags for _, _, flags in steps)

    def close(self, payload):
        (slot,) = struct.unpack("<I", payload)
        self.task(slot).env.close()
        del self.slots[slot]
        return b""


def error_answer(code, slot, text):
    return struct.pack("<2I", code, slot) + text.encode(errors="replace")[-LONGEST_TEXT:]


def reply(server, kind, payload):
    """The kind and the payload of the answer."""
    try:
        return kind | ANSWER, server.answer(kind, payload)
    except Refusal as refusal:
        return ERROR, error_answer(refusal.code, server.at, str(refusal))
    except Exception:
        return ERROR, error_answer(EXCEPTION, server.at, last_lines(traceback.format_exc()))


def private_streams():
    """Takes standard input and output for the frames, so that a print in an environment goes to standard error."""
    requests, answers = os.fdopen(os.dup(0), "rb", 1 << 16), os.fdopen(os.dup(1), "wb", 1 << 16)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = private_streams()
    server = Server()
    while len(head := requests.read(8)) == 8:
        length, kind = struct.unpack("<IB3x", head)
        if length > LONGEST_REQUEST:
            sys.exit(f"a request of {length} bytes: this is not the protocol")
        kind, payload = reply(server, kind, requests.read(length))
        answers.write(struct.pack("<IB3x", len(payload), kind) + payload)
        answers.flush()
    for task in server.slots.values():
        task.env.close()


main()
