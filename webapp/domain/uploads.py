"""Uploads: files of history that wait in the database, row by row, to be looked at and then imported."""

from datetime import date
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Model
from webapp.domain.accounts import LONGEST_NAME
from webapp.domain.camps import LONGEST_LABEL


class UploadRow(Model):
    """A good row of an uploaded file."""

    __tablename__ = "upload_row"
    __table_args__ = (Index(None, "job_id", "book_no"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    book_no: Mapped[int]
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    site: Mapped[str] = mapped_column(String(LONGEST_LABEL))
    camp: Mapped[str] = mapped_column(String(LONGEST_LABEL))
    camp_date: Mapped[date]
    camp_role: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))


class UploadProblem(Model):
    """A bad row of an uploaded file, and why it is bad."""

    __tablename__ = "upload_problem"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(String(300))
