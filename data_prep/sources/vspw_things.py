"""The 58 classes of VSPW that are things, by the value that its masks hold."""

THINGS = {
    3: "door", 5: "ladder", 9: "window", 11: "goal", 42: "sculpture", 44: "flag", 45: "parasol or umbrella",
    47: "tent", 48: "roadblock", 49: "car", 50: "bus", 51: "truck", 52: "bicycle", 53: "motorcycle",
    55: "ship or boat", 56: "raft", 57: "airplane", 61: "person", 62: "cat", 63: "dog", 64: "horse", 65: "cattle",
    66: "other animal", 73: "skateboard", 75: "ball", 77: "box", 78: "traveling case or trolley case", 79: "basket",
    80: "bag or package", 83: "plate", 84: "tub or bowl or pot", 85: "bottle or cup", 86: "barrel", 87: "fishbowl",
    88: "bed", 89: "pillow", 90: "table or desk", 91: "chair or seat", 92: "bench", 93: "sofa", 96: "gun",
    97: "commode", 98: "roaster", 100: "refrigerator", 101: "washing machine", 102: "Microwave oven", 103: "fan",
    107: "painting or poster", 108: "mirror", 109: "flower pot or vase", 110: "clock", 115: "screen or television",
    116: "computer", 117: "printer", 118: "Mobile phone", 119: "keyboard", 123: "instrument", 124: "train",
}  # fmt: skip
