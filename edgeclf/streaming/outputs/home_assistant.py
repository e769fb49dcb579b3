"""Make a classifier appear in Home Assistant by itself: the retained messages of its MQTT discovery.

The fields are those of https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery and of the pages on MQTT
sensors and binary sensors.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import edgeclf
from edgeclf.json_text import write_json


def node_id(topic: str) -> str:
    """Spell a topic in the letters that Home Assistant allows; different topics stay different."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", topic)
    if re.fullmatch(r"[A-Za-z0-9-]+(/[A-Za-z0-9-]+)*", topic):
        return plain
    return f"{plain}_{hashlib.sha256(topic.encode()).hexdigest()[:6]}"


def make_discovery_messages(topic: str, model: str, prefix: str) -> dict[str, str]:
    """Make the message of each configuration topic: one device with three sensors, and one for the camera's problems.

    Args:
        topic: what the topics of this classifier begin with.
        model: name of the model.
        prefix: of Home Assistant's discovery, `homeassistant` unless changed there.
    """
    node = node_id(topic)
    shared: dict[str, Any] = {
        "availability_topic": f"{topic}/availability",
        "device": {
            "identifiers": [node],
            "name": topic.replace("/", " "),
            "manufacturer": "edgeclf",
            "model": model,
            "sw_version": edgeclf.__version__,
        },
        "origin": {"name": "edgeclf", "sw_version": edgeclf.__version__},
    }
    entities: dict[tuple[str, str], dict[str, Any]] = {
        ("sensor", "label"): {"name": "Label", "state_topic": f"{topic}/label", "icon": "mdi:tag-text-outline"},
        ("sensor", "probability"): {
            "name": "Probability",
            "state_topic": f"{topic}/state",
            "value_template": "{{ (value_json.probability * 100) | round(1) }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "icon": "mdi:percent-outline",
        },
        ("sensor", "frame_age"): {
            "name": "Frame age",
            "state_topic": f"{topic}/state",
            "value_template": "{{ value_json.frame_age_ms }}",
            "device_class": "duration",
            "unit_of_measurement": "ms",
            "state_class": "measurement",
            "entity_category": "diagnostic",
        },
        ("binary_sensor", "camera"): {
            "name": "Camera",
            "state_topic": f"{topic}/camera",
            "value_template": "{{ value_json.problem }}",
            "payload_on": "ON",
            "payload_off": "OFF",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "json_attributes_topic": f"{topic}/camera",
        },
    }
    return {
        f"{prefix}/{component}/{node}/{name}/config": write_json({**entity, "unique_id": f"{node}_{name}", **shared})
        for (component, name), entity in entities.items()
    }
