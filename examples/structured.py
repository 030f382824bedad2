"""Answers as instances of a class: a msgspec Struct, or a pydantic model. The schema is made from the class."""

import sys

import msgspec
import pydantic

import polyport

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"
question = [{"role": "user", "content": "Name one city in France: its name, and its country."}]


class City(msgspec.Struct):
    """A city, as msgspec has it."""

    name: str
    country: str


class Place(pydantic.BaseModel):
    """The same, as pydantic has it."""

    name: str
    country: str


city = polyport.completion(model, question, response_format=City, temperature=0, max_tokens=100).parsed
print("msgspec:", city)
place = polyport.completion(model, question, response_format=Place, temperature=0, max_tokens=100).parsed
print("pydantic:", repr(place))
assert isinstance(city, City)
assert isinstance(place, Place)
