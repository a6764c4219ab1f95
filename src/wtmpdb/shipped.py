# SPDX-License-Identifier: BSD-2-Clause
"""Where the files are that belong to the program but are no modules: inside the package once installed, at the top of a checkout before."""

from __future__ import annotations

import os

from wtmpdb.errors import WtmpdbError

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def path(name: str) -> str:
    """Return the path of the file or directory of that name, as it is called at the top of a checkout. Raises WtmpdbError when it is not there."""
    places = [os.path.join(_PACKAGE, "shipped", name)]
    checkout = os.path.dirname(os.path.dirname(_PACKAGE))
    if os.path.exists(os.path.join(checkout, "pyproject.toml")):
        places.append(os.path.join(checkout, name))
    for place in places:
        if os.path.exists(place):
            return place
    raise WtmpdbError(f"{places[0]}: No such file or directory", "this installation is not whole: install wtmpdb again")
